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

    Gradients flow back through at most ``truncate`` steps, counted in blocks: the state is carried
    over every block border, its gradient is not.

    Notes
    -----
    ``torch.nn.GRU`` on a CPU runs an autograd graph of a dozen nodes per step. Here the whole
    sequence is one node: the products of all inputs at once, a short loop forwards, a short loop
    backwards, and one matrix product for each weight's gradient. Inside it the batch comes last, so
    that each gate of a step, and of all steps, lies in one piece.

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
        steps, batch, _ = inputs.shape
        hidden = state.shape[1]
        # Rows m, r, z, n: the state has a share in the first three, the inputs in the last three.
        w_state = torch.cat([w_state[2 * hidden :], w_state[: 2 * hidden]])
        bias = torch.cat([b_state[2 * hidden :], b_in])
        bias[hidden : 3 * hidden] += b_state[: 2 * hidden]
        gates = bias[:, None].repeat(steps, 1, batch)
        gates[:, hidden:] += w_in @ inputs.transpose(1, 2)
        states = inputs.new_empty(steps + 1, hidden, batch)
        states[0] = state.t()
        columns = zip(
            gates[:, : 3 * hidden].unbind(),
            gates[:, hidden : 3 * hidden].unbind(),
            *(part.unbind() for part in gates.split(hidden, 1)),
            states[:-1].unbind(),
            states[1:].unbind(),
            strict=True,
        )
        for from_state, both, m, r, z, n, h, h_next in columns:
            from_state.addmm_(w_state, h)
            both.sigmoid_()
            n.addcmul_(r, m).tanh_()
            torch.lerp(n, h, z, out=h_next)
        ctx.save_for_backward(inputs, w_in, w_state, states, gates)
        ctx.truncate = truncate
        return states[1:].transpose(1, 2).contiguous()

    @staticmethod
    def backward(ctx, d_states):
        inputs, w_in, w_state, states, gates = ctx.saved_tensors
        steps, batch, width = inputs.shape
        hidden = states.shape[1]
        proposed, reset, update, new = gates.split(hidden, 1)
        # d(m, r, z, n before their non-linearity) = slope * dh', for all steps at once.
        slope = torch.empty_like(gates)
        of_proposed, of_reset, of_update, of_new = slope.split(hidden, 1)
        torch.mul(1 - update, 1 - new * new, out=of_new)
        torch.mul(of_new, reset, out=of_proposed)
        torch.mul(of_proposed, 1 - reset, out=of_reset).mul_(proposed)
        torch.mul(states[:-1] - new, update, out=of_update).mul_(1 - update)
        d_state = d_states.transpose(1, 2).contiguous()
        carried = inputs.new_zeros(hidden, batch)
        back = w_state.t().contiguous()
        columns = list(
            zip(
                slope.view(steps, 4, hidden, batch).unbind(),
                slope[:, : 3 * hidden].unbind(),
                update.unbind(),
                d_state.unbind(),
                [carried, *d_state.unbind()[:-1]],
                strict=True,
            )
        )
        for t in range(steps - 1, -1, -1):
            each, from_state, z, dh, earlier = columns[t]
            each.mul_(dh)
            if t == 0 or t % ctx.truncate:
                earlier.addcmul_(dh, z).addmm_(back, from_state)
        d_gates = slope.transpose(0, 1).reshape(4 * hidden, steps * batch)
        before = states[:-1].transpose(1, 2).reshape(-1, hidden)
        d_w_state = d_gates[: 3 * hidden] @ before
        d_bias = d_gates.sum(1)
        from_inputs = d_gates[hidden:]
        return (
            (from_inputs.t() @ w_in).view(steps, batch, width),
            carried.t(),
            from_inputs @ inputs.reshape(-1, width),
            torch.cat([d_w_state[hidden:], d_w_state[:hidden]]),
            d_bias[hidden:],
            torch.cat([d_bias[hidden : 3 * hidden], d_bias[:hidden]]),
            None,
        )
