"""What is made while pages are read is made on the device of the model: shown with no other device than this one."""

from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from ocr.decoding.loop import RunningBatch
from ocr.decoding.rules import Budget, NgramBan
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sequence import in_order
from ocr.engines.native import NativeEngine
from ocr.types import Sampling
from tests.sequences import sequence

CONSTRUCTORS = {torch.tensor, torch.arange, torch.empty, torch.full, torch.ones, torch.rand, torch.randn, torch.zeros}


class OnNamedDevices(TorchFunctionMode):
    """Refuses tensors that are made without saying on which device."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert function not in CONSTRUCTORS or "device" in (kwargs or {}), f"{function.__name__} without a device"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, top_p=0.9, repetition_penalty=1.1)])
def test_all_that_decoding_makes_is_made_on_the_device_of_the_model(
    engine: NativeEngine[Any], sampling: Sampling
) -> None:
    lengths, budgets = (9, 5, 7), (8, 4, 6)
    pages = [torch.randn(length, 80, generator=torch.Generator().manual_seed(length)) for length in lengths]
    with OnNamedDevices():
        batch = RunningBatch(SlotRunner(engine.network.model))
        rules = [[Budget(budget), NgramBan(2, 10)] for budget in budgets]
        rows = [sequence(in_order(page), rule, sampling) for page, rule in zip(pages, rules, strict=True)]
        for row in rows:  # each joins while the ones before it are running
            batch.join([row])
            batch.step()
        while not batch.is_empty:
            batch.step()
    assert tuple(len(row.tokens) for row in rows) == budgets


def test_all_that_a_first_pass_makes_is_made_on_the_device_of_the_model(engine: NativeEngine[Any]) -> None:
    features = torch.zeros(3, 80)
    with OnNamedDevices():
        assert len(engine.network.merge([0, 299, 299, 299, 5], features, image_token=299)) == 5
