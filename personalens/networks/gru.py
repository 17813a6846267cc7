"""A gated recurrent unit over whole batches of histories, fast on a CPU and exact.

Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (EMNLP 2014), in the form of
``torch.nn.GRU``, whose equations and parameters it shares. Truncated back-propagation through time:
Williams and Peng (1990).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GRU(nn.Module):
    """One recurrent layer, time first.

    Parameters
    ----------
    input_size, hidden_size
        Widths of the inputs and of the state.
    truncate
        Gradients flow back through at most this many steps, counted in blocks: the state is carried
        over every block border, its gradient is not.

    Notes
    -----
    ``torch.nn.GRU`` on a CPU runs an autograd graph of a dozen nodes per step. Here the whole
    sequence is one node: one matrix product for all inputs, a short loop forwards, a short loop
    backwards, and one matrix product for each weight's gradient.

    Examples
    --------
    >>> layer = GRU(4, 3)
    >>> states = layer(torch.zeros(5, 2, 4))  # 5 steps of 2 users
    >>> states.shape
    torch.Size([5, 2, 3])
    """

    def __init__(self, input_size: int, hidden_size: int, *, truncate: int = 32):
        super().__init__()
        self.hidden_size = hidden_size
        self.truncate = truncate
        self.cell = nn.GRU(input_size, hidden_size)  # holds the weights; runs on CUDA

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> Tensor:
        """Return the state after every step, (L, B, H), for inputs (L, B, D) from ``state``
        (B, H), zeros by default."""
        if state is None:
            state = inputs.new_zeros(inputs.shape[1], self.hidden_size)
        with torch.autocast(inputs.device.type, enabled=False):  # long sums want float32
            precision = self.cell.weight_hh_l0.dtype
            return self._read(inputs.to(precision), state.to(precision))

    def _read(self, inputs: Tensor, state: Tensor) -> Tensor:
        if inputs.is_cuda:
            return self._by_blocks(inputs, state)
        cell = self.cell
        weights = (cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0)
        if torch.is_grad_enabled():
            return _Recurrence.apply(inputs, state, *weights, self.truncate)
        return cell(inputs, state[None])[0]

    def _by_blocks(self, inputs: Tensor, state: Tensor) -> Tensor:
        pieces = []
        for block in inputs.split(self.truncate):
            states, _ = self.cell(block, state[None].detach().contiguous())
            pieces.append(states)
            state = states[-1]
        return torch.cat(pieces)


class _Recurrence(torch.autograd.Function):
    """The recurrence of ``torch.nn.GRU`` as one node of the autograd graph.

    r = sigmoid(Wir x + bir + Whr h + bhr)      reset gate
    z = sigmoid(Wiz x + biz + Whz h + bhz)      update gate
    m = Whn h + bhn                             what the state proposes
    n = tanh(Win x + bin + r m)                 new value
    h' = n + z (h - n)
    """

    @staticmethod
    def forward(ctx, inputs, state, w_in, w_state, b_in, b_state, truncate):
        steps, batch, width = inputs.shape
        hidden = state.shape[1]
        gates = torch.addmm(b_in, inputs.reshape(-1, width), w_in.t())
        gates = gates.view(steps, batch, 3 * hidden)
        from_input = gates[..., 2 * hidden :].contiguous()
        gates[..., : 2 * hidden] += b_state[: 2 * hidden]
        gates[..., 2 * hidden :] = b_state[2 * hidden :]
        # From here on ``gates`` turns, step by step, into (r, z, m).
        states = inputs.new_empty(steps + 1, batch, hidden)
        states[0] = state
        new = inputs.new_empty(steps, batch, hidden)
        w_state_t = w_state.t().contiguous()
        columns = zip(
            gates.unbind(),
            gates[..., : 2 * hidden].unbind(),
            gates[..., :hidden].unbind(),
            gates[..., hidden : 2 * hidden].unbind(),
            gates[..., 2 * hidden :].unbind(),
            from_input.unbind(),
            new.unbind(),
            states[:-1].unbind(),
            states[1:].unbind(),
            strict=True,
        )
        for gate, both, r, z, m, x, n, h, h_next in columns:
            gate.addmm_(h, w_state_t)
            both.sigmoid_()
            torch.addcmul(x, r, m, out=n).tanh_()
            torch.lerp(n, h, z, out=h_next)
        ctx.save_for_backward(inputs, w_in, w_state, states, gates, new)
        ctx.truncate = truncate
        return states[1:]

    @staticmethod
    def backward(ctx, d_states):
        inputs, w_in, w_state, states, gates, new = ctx.saved_tensors
        steps, batch, width = inputs.shape
        hidden = states.shape[2]
        reset, update, proposed = gates.split(hidden, 2)
        # d(r, z, m before their non-linearity) = slope * dh', for all steps at once.
        to_new = (1 - update) * (1 - new * new)
        slope = inputs.new_empty(steps, batch, 3, hidden)
        torch.mul(to_new, reset, out=slope[:, :, 2])
        torch.mul(slope[:, :, 2] * (1 - reset), proposed, out=slope[:, :, 0])
        torch.mul((states[:-1] - new) * update, 1 - update, out=slope[:, :, 1])
        d_gates = inputs.new_empty(steps, batch, 3 * hidden)
        d_state = d_states.contiguous().clone()
        carried = inputs.new_zeros(batch, hidden)
        before = [None, *d_state.unbind()[:-1]]
        columns = list(
            zip(
                slope.unbind(),
                d_gates.view(steps, batch, 3, hidden).unbind(),
                d_gates.unbind(),
                update.unbind(),
                d_state.unbind(),
                d_state.unsqueeze(2).unbind(),
                before,
                strict=True,
            )
        )
        for t in range(steps - 1, -1, -1):
            s, d3, d, z, dh, dh1, earlier = columns[t]
            torch.mul(dh1, s, out=d3)
            if t == 0:
                carried = torch.addmm(dh * z, d, w_state)
            elif t % ctx.truncate:
                earlier.addcmul_(dh, z).addmm_(d, w_state)
        d_inputs = d_gates.clone()
        torch.mul(d_state, to_new, out=d_inputs[..., 2 * hidden :])
        d_inputs, d_gates = d_inputs.view(-1, 3 * hidden), d_gates.view(-1, 3 * hidden)
        return (
            (d_inputs @ w_in).view(steps, batch, width),
            carried,
            d_inputs.t() @ inputs.reshape(-1, width),
            d_gates.t() @ states[:-1].reshape(-1, hidden),
            d_inputs.sum(0),
            d_gates.sum(0),
            None,
        )
