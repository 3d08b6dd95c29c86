"""For every alert: series under which it fires, and series close to them under which it is silent."""

from dataclasses import dataclass
from decimal import Decimal

from deploykit.catalog.workload import Slo
from deploykit.rendering.options import GatewayOptions, MonitoringOptions

ENGINE = 'engine_instance="engine-0", host="h"'
DAY = 86400

Series = dict[str, str]

EVERYTHING = MonitoringOptions(
    slo=Slo(ttft_s=2, tpot_s=0.05, e2e_s=30, share=0.95),
    usd_per_hour=Decimal(16),
    usd_per_m_target=Decimal(2),
    exporter="127.0.0.1:9109",
)
GATEWAY = GatewayOptions(enabled=True, key_required=True, port=443, domain="llm.example.org", tls="internal")


@dataclass(frozen=True)
class Case:
    """One alert at one severity; series are in promtool's notation, one value a minute."""

    alert: str
    severity: str
    fires: Series
    silent: Series
    at: str = "30m"
    first: str = "0m"
    """A time at which it is not firing yet, under the series that make it fire."""


def engine(name: str, values: str, labels: str = "") -> Series:
    return {f"vllm:{name}{{{ENGINE}{labels}}}": values}


def ranks(name: str, first: str, second: str) -> Series:
    return engine(name, first, ', engine="0"') | engine(name, second, ', engine="1"')


def requests(metric: str, bounds: dict[str, str], every: str) -> Series:
    """A histogram: the rates per minute of those below each bound, and of all."""
    found = {f'vllm:{metric}_bucket{{{ENGINE}, le="{bound}"}}': rate for bound, rate in bounds.items()}
    return found | {f"vllm:{metric}_count{{{ENGINE}}}": every, f'vllm:{metric}_bucket{{{ENGINE}, le="+Inf"}}': every}


def burn(alert: str, metric: str, below: str, above: str) -> list[Case]:
    """Of 100 requests a minute so many are good; the limit lies between the two bounds or is the second."""

    def good(count: int, every: int = 100) -> Series:
        return requests(metric, {below: f"0+{count}x400", above: f"0+{count}x400"}, f"0+{every}x400")

    few = requests(metric, {below: "0x400", above: "0x400"}, "0x10 1x30 2x360")
    return [
        # 14.4 x 5 % is 72 % bad, and 6 x 5 % is 30 %.
        Case(alert, "critical", good(60), good(80), "60m", "1m"),
        Case(alert, "critical", good(0), few, "60m", "1m"),
        Case(alert, "warning", good(80), good(97), "150m", "5m"),
    ]


DISK = 'node_filesystem_{}_bytes{{host="h", mountpoint="/", device="/dev/vda", fstype="ext4"}}'


def disk(free: str) -> Series:
    return {DISK.format("avail"): free, DISK.format("size"): "1000x600"}


def gpu(field: str, values: str, number: int = 0) -> Series:
    return {f'DCGM_FI_DEV_{field}{{host="h", gpu="{number}"}}': values}


def gpus(count: int) -> Series:
    return {series: value for i in range(count) for series, value in gpu("GPU_TEMP", "40x60", i).items()}


def responses(good: int, bad: int) -> Series:
    name = 'haproxy_frontend_http_responses_total{{proxy="clients", code="{}"}}'
    return {name.format("2xx"): f"0+{good}x60", name.format("5xx"): f"0+{bad}x60"}


def tokens(per_minute: int) -> Series:
    return engine("prompt_tokens_total", f"0+{per_minute}x900") | engine("generation_tokens_total", "0x900")


def idle(metric: str = "0x60") -> Series:
    return engine("prompt_tokens_total", metric) | engine("generation_tokens_total", "7x60")


def looked(at: str, name: str = "engine-0") -> Series:
    """When an `up` that waits for an engine last looked at it."""
    return {f'deploykit_engine_start_watched_time_seconds{{engine_instance="{name}", host="h"}}': at}


def down(watched: str, name: str = "engine-0") -> Series:
    """An engine that does not answer, while an `up` waits for one."""
    return {f'up{{job="engine", {ENGINE}}}': "0x60", **looked(watched, name)}


def distance(usd_per_hour: str, covered_s: str, window: str = "24h") -> Series:
    return {
        f'deploykit_meter_break_even_distance_usd_per_hour{{window="{window}", offer="o"}}': usd_per_hour,
        'deploykit_meter_window_covered_seconds{window="24h"}': covered_s,
    }


CASES = [
    Case("EngineDown", "critical", {f'up{{job="engine", {ENGINE}}}': "1x10 0x50"}, {f'up{{job="engine", {ENGINE}}}': "1x60"}, first="11m"),
    # An `up` waits for it, in promtool's time from 0; it gave up or was killed after 20 minutes.
    Case("EngineDown", "critical", down("0+60x20 1200x40"), down("0+60x60"), first="20m"),
    Case("EngineDown", "critical", down("0+60x60", "engine-1"), down("0+60x60")),
    Case("EngineNoProgress", "critical",
         engine("num_requests_running", "1x60") | engine("num_requests_waiting", "0x60") | idle(),
         engine("num_requests_running", "1x60") | engine("num_requests_waiting", "0x60") | idle("0+9x60"), first="4m"),
    Case("EngineNoProgress", "critical",
         engine("num_requests_running", "0x60") | engine("num_requests_waiting", "3x60") | idle(),
         engine("num_requests_running", "0x60") | engine("num_requests_waiting", "0x60") | idle(), first="4m"),
    # Two data-parallel ranks: together 10 run, and from 2 upwards ever more wait.
    Case("EngineQueueGrowing", "warning",
         ranks("num_requests_running", "5x60", "5x60") | ranks("num_requests_waiting", "1+1x60", "1+1x60"),
         ranks("num_requests_running", "5x60", "5x60") | ranks("num_requests_waiting", "30x60", "30x60"), first="4m"),
    Case("EngineQueueGrowing", "warning",
         ranks("num_requests_running", "5x60", "5x60") | ranks("num_requests_waiting", "1+1x60", "1+1x60"),
         ranks("num_requests_running", "50x60", "50x60") | ranks("num_requests_waiting", "1+1x60", "1+1x60")),
    Case("EngineKvCacheNearlyFull", "warning", ranks("kv_cache_usage_perc", "0.5x60", "0.97x60"),
         ranks("kv_cache_usage_perc", "0.94x60", "0.94x60"), first="3m"),
    Case("EnginePreempting", "warning", engine("num_preemptions_total", "0+1x60"), engine("num_preemptions_total", "7x60"), first="9m"),
    Case("GatewayDown", "critical", {'up{job="gateway"}': "0x60"}, {'up{job="gateway"}': "1x60", 'up{job="other"}': "0x60"}),
    Case("GatewayNoEngine", "critical", {'haproxy_backend_active_servers{proxy="engines"}': "0x60"},
         {'haproxy_backend_active_servers{proxy="engines"}': "1x60"}),
    # An `up` replaces the only engine: as long as it looks, it tells of it.
    Case("GatewayNoEngine", "critical", {'haproxy_backend_active_servers{proxy="engines"}': "0x60"},
         {'haproxy_backend_active_servers{proxy="engines"}': "0x60", **looked("0+60x60")}),
    Case("GatewayErrors", "warning", responses(90, 10), responses(96, 4), first="3m"),
    *burn("SloTtftBurn", "time_to_first_token_seconds", "1.0", "2.5"),
    *burn("SloTpotBurn", "request_time_per_output_token_seconds", "0.025", "0.05"),
    *burn("SloE2eBurn", "e2e_request_latency_seconds", "10.0", "60.0"),
    Case("DiskNearlyFull", "critical", disk("20x60"), disk("50x60"), first="4m"),
    Case("DiskNearlyFull", "warning", disk("90x60"), disk("110x60"), first="14m"),
    Case("DiskFillsUp", "warning", disk("390-0.5x600"), disk("390-0.1x600"), "8h", "5h"),
    Case("DiskFillsUp", "warning", disk("390-0.5x600"), disk("900-0.8x600"), "8h"),
    Case("ExporterDown", "warning", {'up{job="node", host="h"}': "0x60"}, {'up{job="node", host="h"}': "1x60", 'up{job="engine"}': "0x60"}, first="9m"),
    Case("GpuXid", "critical", gpu("XID_ERRORS", "79x60"), gpu("XID_ERRORS", "13x60")),
    Case("GpuXid", "warning", gpu("XID_ERRORS", "13x60"), gpu("XID_ERRORS", "0x60")),
    Case("GpuXid", "warning", gpu("XID_ERRORS", "13x60"), gpu("XID_ERRORS", "79x60")),
    Case("GpuEccUncorrected", "critical", gpu("ECC_DBE_VOL_TOTAL", "2x60"), gpu("ECC_DBE_VOL_TOTAL", "0x60")),
    Case("GpuRowRemapFailed", "critical", gpu("ROW_REMAP_FAILURE", "1x60"), gpu("ROW_REMAP_FAILURE", "0x60")),
    Case("GpuMissing", "critical", gpus(7), gpus(8), first="1m"),
    Case("CertificateExpires", "critical", {'probe_ssl_earliest_cert_expiry{job="certificate"}': f"{2 * DAY}x600"},
         {'probe_ssl_earliest_cert_expiry{job="certificate"}': f"{5 * DAY}x600"}),
    Case("CertificateExpires", "warning", {'probe_ssl_earliest_cert_expiry{job="certificate"}': f"{13 * DAY}x600"},
         {'probe_ssl_earliest_cert_expiry{job="certificate"}': f"{30 * DAY}x600"}, "120m", "30m"),
    Case("CertificateUnreadable", "critical", {'probe_success{job="certificate"}': "0x60"}, {'probe_success{job="certificate"}': "1x60"}),
    # 16 dollars an hour: 3.6 million tokens make 4.44 dollars a million, 18 million make 0.89.
    Case("CostAboveTarget", "warning", tokens(60_000), tokens(300_000), "8h", "5h"),
    Case("CostAboveTarget", "warning", {}, tokens(300_000), "8h"),
    Case("MeterDown", "warning", {'up{job="meter"}': "0x60"}, {'up{job="meter"}': "1x60", 'up{job="engine"}': "0x60"}, first="9m"),
    Case("MeterBlind", "warning", {'deploykit_meter_engine_up{engine="http://a"}': "0x60"},
         {'deploykit_meter_engine_up{engine="http://a"}': "0x10 1x50"}, first="14m"),
    Case("ApiCheaper", "warning", distance("-2x600", "80000x600"), distance("3x600", "80000x600"), "8h", "5h"),
    # A meter that has run for an hour does not know the day.
    Case("ApiCheaper", "warning", distance("-2x600", "80000x600"), distance("-2x600", "3600x600"), "8h"),
    Case("ApiCheaper", "warning", distance("-2x600", "80000x600"), distance("-2x600", "80000x600", "5m"), "8h"),
]  # fmt: skip
