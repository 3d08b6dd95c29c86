"""The GPU checks on recorded and composed outputs of nvidia-smi: each fault is found, and a healthy node is clean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

NEEDED = {
    "gpu_count": 8, "gpu_name": "H100 80GB HBM3", "capability": 9.0, "cuda": "13",
    "drivers": [{"version": "580", "because": "CUDA 13 of vLLM 0"}],
}  # fmt: skip
CAPS = "9.0\n" * 8


@pytest.fixture
def gpu(module):
    return module("deploykit_check_gpu")


@pytest.fixture
def look(gpu, output):
    """Return (severity, check) of what is not as it should be, and all findings."""

    def go(xml, caps=CAPS, ours=lambda pid: False, **changes):
        found = gpu.gpus(output(xml), output(caps), NEEDED | changes, ours)
        return {(f["severity"], f["check"]) for f in found if f["severity"] != "info"}, found

    return go


def test_a_healthy_node_has_no_finding(look, smi_xml):
    wrong, found = look(smi_xml())
    assert wrong == set()
    assert len(found) > 10


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"name": "NVIDIA A100-SXM4-80GB"}, {("blocker", "gpu model")}),
        ({"persistence": "Disabled"}, {("warning", "persistence")}),
        ({"mig": "Enabled"}, {("blocker", "mig")}),
        ({"uncorrected": 2}, {("blocker", "ecc")}),
        ({"threshold": "Yes"}, {("blocker", "ecc")}),
        ({"ecc": "Disabled"}, {("warning", "ecc")}),
        ({"ecc": "Unknown Error", "uncorrected": "N/A"}, {("warning", "ecc")}),
        ({"pending": "Yes"}, {("blocker", "row remap")}),
        ({"failure": "Yes", "pending": "Yes"}, {("blocker", "row remap")}),
        ({"recovery": "Reboot"}, {("blocker", "recovery")}),
        ({"width": 8}, {("warning", "pcie")}),
    ],
)
def test_what_is_wrong_with_one_gpu_is_told_of_that_one(look, smi_xml, changes, expected):
    wrong, found = look(smi_xml(wrong=changes))
    assert wrong == expected
    for finding in found:
        if finding["severity"] != "info":
            assert "GPU 3" in finding["evidence"]
            assert finding["mend"]


def test_a_gpu_that_fell_off_the_bus(look, smi_xml):
    wrong, found = look(smi_xml(count=7, attached=8), caps="9.0\n" * 7)
    assert wrong == {("blocker", "gpu count")}
    assert found[0]["evidence"] == "7 of 8 GPUs (8 attached)"


def test_another_generation_of_gpus(look, smi_xml):
    wrong, _ = look(smi_xml(every={"name": "NVIDIA B200"}), caps="10.0\n" * 8)
    assert wrong == {("blocker", "gpu model"), ("blocker", "compute capability")}


def test_the_driver_is_held_against_every_need(look, smi_xml):
    needs = [{"version": "570", "because": "b300"}, {"version": "580", "because": "CUDA 13 of vLLM 0"}]
    wrong, found = look(smi_xml(driver="575.57.08", cuda="12.9"), drivers=needs)
    assert wrong == {("blocker", "driver"), ("blocker", "cuda")}
    (driver,) = [f for f in found if f["check"] == "driver"]
    assert driver["evidence"] == "575.57.08; CUDA 13 of vLLM 0 needs 580 or newer"


def test_a_driver_without_its_cuda_library(look, smi_xml):
    assert look(smi_xml(cuda="Not Found"))[0] == {("blocker", "cuda")}


def test_what_the_profiles_do_not_know_is_skipped_and_said(look, smi_xml):
    wrong, _ = look(smi_xml(), drivers=[], cuda=None, capability=None, gpu_name=None)
    assert wrong == {("skipped", check) for check in ("driver", "cuda", "compute capability", "gpu model")}


def test_memory_that_somebody_else_holds(look, smi_xml):
    held = "<process_info><pid>4711</pid><process_name>python3</process_name><used_memory>70000 MiB</used_memory></process_info>"
    xml = smi_xml(wrong={"processes": held})
    assert look(xml)[0] == {("blocker", "gpu use")}
    assert look(xml, ours=lambda pid: pid == 4711)[0] == set()


def test_the_recorded_a100_is_cut_into_parts(look, recorded):
    wrong, _ = look(recorded("smi-a100-mig.xml"), caps="8.0\n", gpu_name="A100", gpu_count=4, capability=8.0)
    assert wrong == {
        ("blocker", "gpu count"), ("warning", "persistence"), ("blocker", "mig"), ("blocker", "driver"),
        ("blocker", "cuda"), ("skipped", "row remap"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why", "mend"),
    [
        ("", "nvidia-smi is not installed", "install NVIDIA's driver 580 or newer"),
        ("", "`nvidia-smi -q -x` ended with 18: Failed to initialize NVML: Driver/library version mismatch", "reboot"),
        ("", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver", "dmesg"),
        ("", "`nvidia-smi -q -x` did not end within 60 s", "install"),
        ("<nvidia_smi_log></nvidia_smi_log>", "", "lspci"),
        ("something else", "", "by hand"),
    ],
)
def test_no_answer_is_one_blocker_with_its_own_mend(gpu, output, text, why, mend):
    (found,) = gpu.gpus(output(text, why), output(), NEEDED)
    assert found["severity"] == "blocker"
    assert mend in found["mend"]


def test_the_recorded_mismatch_is_known(gpu, output, recorded):
    text = recorded("smi-library-mismatch.txt")
    (found,) = gpu.gpus(output(text, f"`nvidia-smi -q -x` ended with 18: {text}"), output(), NEEDED)
    assert "reboot" in found["mend"]


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("H200", "NVIDIA H200", True),
        ("B200", "NVIDIA GB200", False),
        ("H200", "NVIDIA GH200 480GB", False),
        ("H100 80GB HBM3", "NVIDIA H100 80GB HBM3", True),
        ("H100 80GB HBM3", "NVIDIA H100 PCIe", False),
        ("NVIDIA H200 SXM 141GB", "NVIDIA H200", True),
        ("B300", "NVIDIA B300 SXM6 AC", True),
        ("B300", "", False),
    ],
)
def test_models_are_compared_by_their_own_words(gpu, wanted, found, same):
    assert gpu.same_gpu(wanted, found) is same


def test_entities_are_not_read(module):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><nvidia_smi_log><driver_version>&a;</driver_version></nvidia_smi_log>'
    assert module("deploykit_gpus").inventory(bomb) is None


@given(
    st.text() | st.text("<>/ gpu_nvidiasmlo1x%&;!").map(lambda text: f"<nvidia_smi_log>{text}</nvidia_smi_log>"),
    st.text(),
)
def test_no_answer_of_nvidia_smi_crashes(module, output, text, caps):
    gpu = module("deploykit_check_gpu")
    assert gpu.gpus(output(text), output(caps), NEEDED)
