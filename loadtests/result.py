"""A finished run as plain data: what was measured, and whether it is good enough."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from loadtests.thresholds import judge

SETUP = "setup"  # recorded, as a failure, when accounts and rooms could not be made
LATE_P99_MS = 100.0  # later than this, the client was too slow for the load it was asked to make


def result_of(stats: Any, options: Any, *, url: str, limits: Mapping[str, float]) -> dict[str, Any]:
    """The JSON result of a run: `stats` by name with `count`, `failures`, `p50_ms` …, `thresholds`, `passed`."""
    rows = {_name(entry): _row(entry) for entry in stats.entries.values()}
    over_http = [entry for entry in stats.entries.values() if entry.method != "WS"]
    if over_http:
        whole = over_http[0].__class__(stats, "http", "HTTP")
        for entry in over_http:
            whole.extend(entry)
        rows["http"] = _row(whole)
    counted = [row for name, row in rows.items() if name not in ("late", "http")]
    requests, failures = sum(row["count"] for row in counted), sum(row["failures"] for row in counted)
    rows["all"] = {"count": requests, "failures": failures, "failures_percent": 100 * failures / max(1, requests)}
    verdict = judge(rows, limits)
    late_ms = rows.get("late", {}).get("p99_ms", 0.0)
    slow_client = (
        f"messages left this client up to {late_ms:.0f} ms late: it is the bottleneck; use more --processes or machines"
    )
    return {
        "schema": 1,
        "url": url,
        "shape": options.shape,
        "users": options.people,
        "duration_s": options.seconds,
        "passed": all(one.ok for one in verdict),
        "stats": rows,
        "thresholds": [asdict(one) for one in verdict],
        "errors": [{"name": e.name, "error": str(e.error), "count": e.occurrences} for e in stats.errors.values()],
        "warnings": [slow_client] if late_ms > LATE_P99_MS else [],
    }


def _name(entry: Any) -> str:
    return str(entry.name) if entry.method == "WS" else f"{entry.method} {entry.name}"


def _row(entry: Any) -> dict[str, Any]:
    quantiles = {f"p{part}_ms": entry.get_response_time_percentile(part / 100) or 0 for part in (50, 95, 99)}
    rate = {"per_s": round(entry.total_rps, 2), "max_ms": round(entry.max_response_time or 0, 1)}
    return {"count": entry.num_requests, "failures": entry.num_failures, **quantiles, **rate}
