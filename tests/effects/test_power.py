"""Meters: an exporter's text as it is, a server that answers it, and a driver's library that is not there."""

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploykit.effects.power import DcgmMeter, NvmlMeter, PowerRecorder, dcgm_reading
from deploykit.effects.yaml_files import YamlCatalog
from deploykit.errors import LoadTestError, UsageError
from deploykit.paths import shipped

NAMES = YamlCatalog(shipped("profiles")).exporters().gpu

TEXT = """# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-0",modelName="NVIDIA H100 80GB HBM3"} 412.5
DCGM_FI_DEV_POWER_USAGE{gpu="1",UUID="GPU-1",modelName="NVIDIA H100 80GB HBM3"} 387.5
# HELP DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION Total energy consumption since boot (in mJ).
# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0",UUID="GPU-0"} 5000000
DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="1",UUID="GPU-1"} 7000000
"""


def test_an_exporters_gpus_are_added_up():
    read = dcgm_reading(TEXT, "x", NAMES)
    assert (read.gpus, read.watts, read.joules) == (2, 800.0, 12_000.0)


def test_an_exporter_without_the_energy_counter_tells_power_alone():
    assert dcgm_reading(TEXT.partition("# HELP DCGM_FI_DEV_TOTAL")[0], "x", NAMES).joules is None


@pytest.mark.parametrize("text", ["", "up 1\n", "{"])
def test_what_is_no_dcgm_exporter_is_one_error(text):
    with pytest.raises(LoadTestError):
        dcgm_reading(text, "http://node:9400/metrics", NAMES)


def test_a_recorder_reads_until_its_block_ends_and_names_what_failed_once():
    fails = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(500 if fails else 200)
            self.end_headers()
            self.wfile.write(TEXT.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        meter = DcgmMeter([f"http://127.0.0.1:{server.server_port}"], NAMES)
        with PowerRecorder(meter, every_s=0.01).running() as log:
            deadline = time.monotonic() + 20
            while len(log().readings) < 3:
                assert time.monotonic() < deadline
            fails.append(1)
            while not log().errors:
                assert time.monotonic() < deadline
        server.shutdown()
    assert log().readings[0].watts == 800
    assert len(log().errors) == 1
    assert "500" in log().errors[0]


def test_a_machine_without_a_gpu_says_so():
    try:
        NvmlMeter()
    except UsageError as error:
        assert "NVML" in error.what  # noqa: PT017 - where there is a GPU it is no error
