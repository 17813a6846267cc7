"""JupyterLab on Binder: a session there has 2 GB, and one that needs more is killed as a whole.

An idle kernel is shut down after twenty minutes (`make lab`: only one whose tab is closed, after an
hour).
When memory gets scarce before, the kernels that have been idle for longest go at once, but never
the one that was used last. A notebook whose kernel is gone keeps its text and its outputs: run it
from the top again.
"""

import os
from contextlib import suppress

import psutil
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

SCARCE = 0.45  # of the memory: a training and the next lab's kernel need the rest


class MemoryKernelManager(AsyncMappingKernelManager):
    """Culls idle kernels by their age and, where memory is scarce, by need."""

    async def cull_kernels(self):
        await super().cull_kernels()
        limit = int(os.environ.get("MEM_LIMIT", 2 * 2**30)) * SCARCE
        for kernel_id in self._idle_longest():
            if session_memory() <= limit:
                return
            self.log.warning("memory is scarce: shutting down the idle kernel %s", kernel_id)
            await self.shutdown_kernel(kernel_id)

    def _idle_longest(self):
        """Return the idle kernels without the one that was used last, the oldest first."""
        active = {
            kernel_id: kernel.last_activity
            for kernel_id, kernel in self._kernels.items()
            if hasattr(kernel, "last_activity")
        }
        *before, _ = sorted(active, key=active.get) or [None]
        return [each for each in before if self._kernels[each].execution_state == "idle"]


def session_memory():
    """Return the bytes of this server, its kernels and their workers; shared pages count once."""
    own, total = os.getpid(), 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            # A worker leaves its kernel, but keeps its environment.
            if process.pid == own or process.environ().get("JPY_PARENT_PID") == str(own):
                total += process.memory_full_info().pss
    return total


c = get_config()  # noqa: F821  (Jupyter's)
c.ServerApp.kernel_manager_class = MemoryKernelManager
c.MemoryKernelManager.cull_idle_timeout = 1200
c.MemoryKernelManager.cull_interval = 5
c.MemoryKernelManager.cull_connected = True
