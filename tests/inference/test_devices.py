import pytest
import torch

from lookcast.checks import InputError
from lookcast.inference.devices import bfloat16_is_faster, pick_device, pick_devices

CUDA = torch.cuda.is_available()


class TestPickDevice:
    def test_auto(self):
        assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")

    def test_known_device(self):
        assert pick_device("cpu") == pick_device(torch.device("cpu")) == torch.device("cpu")

    @pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "meta", "xpu"])
    def test_rejects_unknown_device(self, device):
        with pytest.raises(InputError, match="is none of auto, cpu, cuda, mps"):
            pick_device(device)

    def test_rejects_device_that_is_not_there(self):
        with pytest.raises(InputError, match="there is no 'cuda:99' on this machine"):
            pick_device("cuda:99")


class TestPickDevices:
    def test_auto(self):
        expected = (
            [torch.device("cuda", i) for i in range(torch.cuda.device_count())] if CUDA else [torch.device("cpu")]
        )
        assert pick_devices() == expected

    def test_several(self):
        assert pick_devices("cpu,cpu") == [torch.device("cpu")] * 2

    def test_every_gpu_of_the_machine(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
        assert [str(device) for device in pick_devices()] == ["cuda:0", "cuda:1", "cuda:2"]
        monkeypatch.setenv("LOCAL_RANK", "4")  # torchrun with more processes than GPUs
        assert [str(device) for device in pick_devices()] == ["cuda:1"]
        assert [str(device) for device in pick_devices("cpu")] == ["cpu"]

    def test_rejects_unknown_device(self):
        with pytest.raises(InputError, match=r"^device: 'gpu' is none of auto"):
            pick_devices("cpu,gpu")


class TestBfloat16IsFaster:
    def test_is_what_the_machine_says(self, monkeypatch):
        for amx in (True, False):
            monkeypatch.setattr(torch.cpu, "get_capabilities", lambda amx=amx: {"amx_bf16": amx})
            assert bfloat16_is_faster(torch.device("cpu")) == amx
        monkeypatch.setattr(torch.cpu, "get_capabilities", dict)  # no x86
        assert not bfloat16_is_faster(torch.device("cpu"))

    def test_gpus_from_ampere_on(self, monkeypatch):
        for capability, expected in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
            assert bfloat16_is_faster(torch.device("cuda")) == expected
