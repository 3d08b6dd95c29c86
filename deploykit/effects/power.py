"""GPU power meters -> readings: NVML on this machine, or DCGM exporters of the nodes over HTTP."""

import datetime as dt
import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from prometheus_client.parser import text_string_to_metric_families

from deploykit.catalog.exporters import GpuExporter
from deploykit.errors import LoadTestError, UsageError
from deploykit.measuring.power import PowerLog, PowerReading

_EVERY_S = 1.0
_TIMEOUT_S = 3


class Meter(Protocol):
    """Tells the power of all its GPUs now."""

    source: str

    def read(self) -> PowerReading:
        """Return a reading; LoadTestError if there is none to be had."""
        ...


class NvmlMeter:
    """The GPUs of this machine, by the driver's own library.

    Raises UsageError where there is no driver or no GPU.
    """

    source = "nvml"

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            self._gpus = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            raise UsageError(f"NVML can't be used here: {error}", hint="`--power URL` reads a DCGM exporter") from None
        if not self._gpus:
            raise UsageError("NVML finds no GPU here", hint="`--power URL` reads a DCGM exporter")

    def read(self) -> PowerReading:
        """Return the GPUs' power, and their energy counters' sum where all of them have one."""
        try:
            watts = sum(self._nvml.nvmlDeviceGetPowerUsage(gpu) for gpu in self._gpus) / 1000
        except self._nvml.NVMLError as error:
            raise LoadTestError(f"NVML does not tell the power: {error}") from None
        try:
            joules = sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) for gpu in self._gpus) / 1000
        except self._nvml.NVMLError:  # older than Volta, or a slice of a GPU
            joules = None
        return PowerReading(at=dt.datetime.now(dt.UTC), gpus=len(self._gpus), watts=watts, joules=joules)


class DcgmMeter:
    """The GPUs of some nodes, by their DCGM exporters; `names` are what those call their series."""

    def __init__(self, addresses: Sequence[str], names: GpuExporter) -> None:
        self._names = names
        self._addresses = [
            address if "/metrics" in address else f"{address.rstrip('/')}/metrics" for address in addresses
        ]
        self.source = " ".join(self._addresses)

    def read(self) -> PowerReading:
        """Return all exporters' readings as one."""
        found = [dcgm_reading(_get(address), address, self._names) for address in self._addresses]
        joules = [one.joules for one in found if one.joules is not None]
        return PowerReading(
            at=dt.datetime.now(dt.UTC),
            gpus=sum(one.gpus for one in found),
            watts=sum(one.watts for one in found),
            joules=sum(joules) if len(joules) == len(found) else None,
        )


def dcgm_reading(text: str, address: str, names: GpuExporter) -> PowerReading:
    """Return what one exporter's metrics tell; LoadTestError if they tell no power."""
    told: dict[str, list[float]] = {names.power: [], names.energy: []}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name if sample.name in told else sample.name.removesuffix("_total")
                if name in told:  # the parser gives a counter the end that the exporter's lacks
                    told[name].append(sample.value)
    except ValueError as error:
        raise LoadTestError(f"{address} does not speak Prometheus' text format: {error}") from None
    watts, millijoules = told[names.power], told[names.energy]
    if not watts:
        raise LoadTestError(f"{address} tells no {names.power}", hint="is it a DCGM exporter?")
    joules = sum(millijoules) / 1000 if len(millijoules) == len(watts) else None
    return PowerReading(at=dt.datetime.now(dt.UTC), gpus=len(watts), watts=sum(watts), joules=joules)


class PowerRecorder:
    """Reads a meter once a second in a thread of its own, for as long as it is open."""

    def __init__(self, meter: Meter, *, every_s: float = _EVERY_S) -> None:
        self._meter, self._every_s = meter, every_s
        self._readings: list[PowerReading] = []
        self._errors: dict[str, None] = {}

    @contextmanager
    def running(self) -> "Iterator[Callable[[], PowerLog]]":
        """Read while the block runs; gives what returns the log so far."""
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(over,), daemon=True)
        thread.start()
        try:
            yield self.log
        finally:
            over.set()
            thread.join()

    def log(self) -> PowerLog:
        """Return what was read so far."""
        return PowerLog(source=self._meter.source, readings=tuple(self._readings), errors=tuple(self._errors))

    def _run(self, over: threading.Event) -> None:
        while True:
            try:
                self._readings.append(self._meter.read())
            except LoadTestError as error:
                self._errors[error.what] = None
            if over.wait(self._every_s):
                return


def _get(address: str) -> str:
    request = urllib.request.Request(address, headers={"Accept": "text/plain"})  # noqa: S310 - http(s), the operator's own
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as response:
            body: bytes = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise LoadTestError(f"{address} answers HTTP {error.code}") from None
    except (urllib.error.URLError, OSError, http.client.HTTPException, ValueError) as error:
        raise LoadTestError(f"{address} does not answer: {getattr(error, 'reason', None) or error}") from None
    return body.decode(errors="replace")
