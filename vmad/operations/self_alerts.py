# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The alerts on vmad itself: each one means that the others may not come."""

from __future__ import annotations

from vmad.operations.rules import HOST, Alert, Condition, RuleGroup
from vmad.scan.planner import STRETCH

_AND = f"and on ({HOST})"
_CONFIGURED = 'vmad_scan_interval_seconds{kind="configured"}'
_EFFECTIVE = 'vmad_scan_interval_seconds{kind="effective"}'

SELF = RuleGroup(
    "vmad-self",
    "vmad itself. While one of these fires, silence of the others means nothing.",
    (
        Alert(
            "VmadDown",
            "warning",
            (Condition('up{job=~".*vmad.*"}', "==", "0"),),
            "5m",
            "vmad on {{ $labels.instance }} does not answer",
            "Prometheus has not been able to scrape it for 5 minutes: nothing warns of "
            "vm.max_map_count there.",
        ),
        Alert(
            "VmadStale",
            "warning",
            (
                Condition(
                    "time() - vmad_scan_last_success_timestamp_seconds",
                    f"> on ({HOST})",
                    f"60 + {STRETCH + 2} * sum by ({HOST}) ({_CONFIGURED})",
                ),
            ),
            "1m",
            "The last scan of {{ $labels.instance }} is {{ $value | humanizeDuration }} old",
            "vmad answers, but its scans do not come to an end: what it shows is old.",
        ),
        Alert(
            "VmadNoScan",
            "warning",
            (
                Condition("time() - vmad_start_time_seconds", ">", "300"),
                Condition(
                    "vmad_scan_last_success_timestamp_seconds",
                    "",
                    "",
                    joined=f"unless on ({HOST})",
                ),
            ),
            "1m",
            "vmad on {{ $labels.instance }} has not completed a scan yet",
            "It started {{ $value | humanizeDuration }} ago and knows nothing of this host.",
        ),
        Alert(
            "VmadBlind",
            "warning",
            (
                Condition(
                    f'sum by ({HOST}) (vmad_processes_unreadable{{reason!="gone"}})'
                    f" / on ({HOST}) vmad_host_processes",
                    ">",
                    "0.1",
                ),
            ),
            "15m",
            "vmad cannot read {{ $value | humanizePercentage }} of the processes of "
            "{{ $labels.instance }}",
            "A process that it cannot read may be at the limit unseen.",
        ),
        Alert(
            "VmadEvidenceLost",
            "warning",
            (
                Condition("vmad_source_up", "==", "0"),
                Condition(
                    "max_over_time(vmad_source_up[1d])",
                    "==",
                    "1",
                    joined=f"and on ({HOST}, source)",
                ),
            ),
            "5m",
            "vmad on {{ $labels.instance }} has lost its {{ $labels.source }} evidence",
            "It could be had within the last day. Without kernel evidence pairs are unknown; "
            "without events short-lived processes may be missed.",
        ),
        Alert(
            "VmadOverBudget",
            "warning",
            (
                Condition(
                    f"rate(vmad_cpu_seconds_total[30m])"
                    f" - on ({HOST}) rate(vmad_web_cpu_seconds_total[30m])",
                    f"> on ({HOST})",
                    "2 * vmad_cpu_budget_ratio",
                ),
            ),
            "30m",
            "vmad on {{ $labels.instance }} takes {{ $value | humanizePercentage }} of a core",
            "Work for clients apart, that is more than twice its budget (scan.budget), though it "
            "stretches its interval tenfold before.",
        ),
        Alert(
            "VmadSlowedDown",
            "info",
            (Condition(f"{_EFFECTIVE} / ignoring (kind) {_CONFIGURED}", ">", "4"),),
            "1h",
            "vmad on {{ $labels.instance }} scans {{ $value | humanize }} times less often than "
            "configured",
            "Its CPU budget is too small for this host: reasons and predictions are late. "
            "High-water marks are sampled less often, too.",
        ),
        Alert(
            "VmadLosingEvents",
            "info",
            (
                Condition("increase(vmad_event_overruns_total[15m])", ">", "15"),
                Condition("vmad_event_source_up", "==", "1", joined=_AND),
            ),
            "30m",
            "vmad on {{ $labels.instance }} loses process events",
            "{{ $value | humanize }} times in 15 minutes. Results stay right, since each loss is "
            "healed by a scan of everything, but that costs CPU.",
        ),
        Alert(
            "VmadRefusesClients",
            "info",
            (
                Condition(
                    f"sum by ({HOST}) (increase(vmad_web_requests_refused_total[15m]))",
                    ">",
                    "100",
                ),
            ),
            "15m",
            "vmad on {{ $labels.instance }} refuses requests",
            "{{ $value | humanize }} in 15 minutes: of clients that ask for more than web.budget "
            "allows, whose password is wrong, or that call the host by a name it does not know. "
            "Scans and other clients are not held up.",
        ),
        Alert(
            "VmadConfigRefused",
            "warning",
            (Condition("vmad_config_last_reload_successful", "==", "0"),),
            "1m",
            "vmad on {{ $labels.instance }} refused its new configuration",
            "It goes on with the old one; at its next start it would not come up.",
        ),
        Alert(
            "VmadRestarting",
            "warning",
            (Condition("changes(vmad_start_time_seconds[1h])", ">", "2"),),
            "0s",
            "vmad on {{ $labels.instance }} restarted {{ $value }} times within an hour",
            "What happens while it is down goes unnoticed: a burst leaves no mark.",
        ),
    ),
)
