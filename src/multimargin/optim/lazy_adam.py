"""Adam that moves only the rows a step touches and still gives the result of dense Adam."""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from jaxtyping import Float, Int
from torch import Tensor

from multimargin import checks
from multimargin.kernels.dense_adam import dense_adam
from multimargin.kernels.lazy_adam import RowState, Schedule, implementation


class LazyAdam(torch.optim.Optimizer):
    """Adam for embedding tables with sparse gradients; parameters with dense gradients get ordinary Adam.

    Dense Adam moves every row at every step, also rows without a gradient, because their moments are still decaying.
    This one leaves them alone and makes up for it, exactly, when they are next read. So call ``catch_up(table, rows)``
    before you read rows in training, and ``settle()`` before you read whole tables (evaluation, saving).

    Args:
        params: parameters to move. A 2-d parameter whose gradient is sparse is a table.
        lr: learning rate, above 0; may change between steps.
        betas: decay of the first and second moment, each in [0, 1), the first below the root of the second.
        eps: added to the denominator, above 0.
        weight_decay: times the row, added to the gradient of *touched* rows, 0 or more.

    Relations:
        Equals ``torch.optim.Adam`` (relative difference of a row below 1e-4 after hundreds of steps, float32).
    Source:
        Kingma, Ba, arXiv 1412.6980; the catch-up is derived in ``kernels/lazy_adam/schedule.py``.
    Differs:
        ``torch.optim.SparseAdam`` and "lazy" Adams elsewhere drop the idle steps; this one does not.
    Example:
        >>> table = torch.nn.Parameter(torch.zeros(3, 2))
        >>> optimizer = LazyAdam([table], lr=0.5)
        >>> table.grad = torch.sparse_coo_tensor([[1]], [[1.0, -1.0]], (3, 2)).coalesce()
        >>> optimizer.step()
        >>> optimizer.settle()
        >>> table[1].tolist()
        [-0.5, 0.5]
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        checks.positive("lr", lr)
        checks.positive("eps", eps)
        checks.not_negative("weight_decay", weight_decay)
        beta1, beta2 = (checks.fraction(f"betas[{k}]", beta) for k, beta in enumerate(betas))
        if beta1 * beta1 >= beta2:
            checks.fail("betas[0]", "be below the square root of betas[1]", tuple(betas), "Adam diverges otherwise.")
        super().__init__(params, {"lr": lr, "betas": (beta1, beta2), "eps": eps, "weight_decay": weight_decay})
        self.schedule = Schedule((beta1, beta2), eps)
        self._tables: dict[Tensor, RowState] = {}

    # PyTorch's own two load its compiler when they are called: 60 MiB and a second or more, for nothing
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the one group of parameters; called by the constructor."""
        if self.param_groups:
            checks.fail("params", "be one group", len(self.param_groups) + 1, "Use one optimiser for each group.")
        given = param_group["params"]
        self.param_groups.append(
            self.defaults | param_group | {"params": [given] if isinstance(given, Tensor) else list(given)}
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or set them to 0."""
        for parameter in self.options["params"]:
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else torch.zeros_like(parameter)

    @property
    def options(self) -> dict[str, Any]:
        """The one parameter group: ``lr``, ``betas``, ``eps``, ``weight_decay``."""
        return self.param_groups[0]

    def rows_of(self, table: Tensor) -> RowState:
        """Return the row state of ``table``, made on first use."""
        if table not in self._tables:
            self._tables[table] = RowState.zeros_like(table.detach())
        return self._tables[table]

    @torch.no_grad()
    def catch_up(self, table: Tensor, rows: Int[Tensor, " n"]) -> None:
        """Bring ``rows`` of ``table`` (repeats allowed) up to date before they are read."""
        if table in self._tables:
            if len(rows) > len(table) // 4:  # most are listed more than once
                listed = torch.zeros(len(table), dtype=torch.bool, device=table.device)
                listed[rows] = True
                rows = listed.nonzero()[:, 0]
            implementation(table).catch_up(table, self._tables[table], self.schedule, rows)

    @torch.no_grad()
    def settle(self) -> None:
        """Bring every row and its moments up to date; afterwards the state is dense Adam's."""
        for table, state in self._tables.items():
            implementation(table).settle(table, state, self.schedule)
        self.schedule.settle(self.schedule.step)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; tables must have been caught up where the gradient is not zero."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.move(self.schedule.advance(self.options["lr"]))
        return loss

    @torch.no_grad()
    def move(self, constants: tuple[float, float, float]) -> None:
        """Move what has a gradient by the step just taken, given its ``constants`` (see ``Schedule.advance``)."""
        for parameter in self.options["params"]:
            gradient = parameter.grad
            if gradient is None:
                continue
            if gradient.is_sparse:
                gradient = gradient.coalesce()
                implementation(parameter).update(
                    parameter,
                    self.rows_of(parameter),
                    self.schedule,
                    gradient.indices()[0],
                    gradient.values(),
                    constants=constants,
                    weight_decay=self.options["weight_decay"],
                )
            else:
                self._dense_step(parameter, gradient, constants)

    def _dense_step(
        self, parameter: Tensor, gradient: Float[Tensor, "..."], constants: tuple[float, float, float]
    ) -> None:
        """Ordinary Adam, in the letters of ``schedule``: f(T) and eps sqrt(1 - b2^T) fold in both bias corrections."""
        rate, eps_now, _ = constants
        state = self.state[parameter]
        if not state:
            state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        beta1, beta2 = self.options["betas"]
        if self.options["weight_decay"]:
            gradient = gradient + self.options["weight_decay"] * parameter
        dense_adam(parameter, gradient, state["first"], state["second"], betas=(beta1, beta2), rate=rate, eps=eps_now)

    def state_dict(self) -> dict[str, Any]:
        """Settle, and return the state for ``load_state_dict``; beside PyTorch's keys it has "tensors"."""
        return super().state_dict() | {"tensors": self.tensors()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what ``state_dict`` gave, for the same parameters in the same order."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "tensors"})
        self.load_tensors(state_dict["tensors"])

    def tensors(self) -> dict[str, Tensor]:
        """Return the settled state as flat tensors, for a checkpoint; ``load_tensors`` takes them back."""
        self.settle()
        result = {"step": torch.tensor(self.schedule.step)}
        for k, parameter in enumerate(self.options["params"]):
            if parameter in self._tables:
                rows = self._tables[parameter]
                result |= {
                    f"{k}.table.first": rows.first,
                    f"{k}.table.second": rows.second,
                    f"{k}.table.last": rows.last,
                }
            elif self.state[parameter]:
                result |= {f"{k}.{name}": value for name, value in self.state[parameter].items()}
        return result

    @torch.no_grad()
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take back what ``tensors`` gave, for the same parameters in the same order."""
        self.schedule.settle(int(tensors["step"]))
        self._tables.clear()
        for k, parameter in enumerate(self.options["params"]):
            if f"{k}.table.first" in tensors:
                rows = self.rows_of(parameter)
                for name in ("first", "second", "last"):
                    getattr(rows, name).copy_(tensors[f"{k}.table.{name}"])
                implementation(parameter).settle(parameter, rows, self.schedule)
            elif f"{k}.first" in tensors:
                self.state[parameter] = {
                    name: tensors[f"{k}.{name}"].to(parameter.device, copy=True) for name in ("first", "second")
                }
