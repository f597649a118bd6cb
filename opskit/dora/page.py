"""The report as one HTML file that needs nothing from outside: no script, no font, no request."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from opskit.dora.deployments import Deployment
from opskit.dora.measures import Measure
from opskit.dora.summary import Summary
from opskit.moments import in_words

WEEKS = 26
_HEIGHT, _STEP, _BAR = 120, 24, 18

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ project }}: delivery report</title>
<style>
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; --plain: #3f6fb5 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .4rem .6rem; vertical-align: top;
border-bottom: 1px solid var(--line) } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
small, .quiet { opacity: .75 } .bad { color: var(--bad) } .value { font-weight: 600 }
svg { max-width: 100%; height: auto } svg text { font-size: 10px; fill: currentColor }
</style>
<h1>{{ project }}</h1>
<p class="quiet">Delivery from {{ since }} until {{ until }}</p>

<h2>DORA</h2>
<table>
<tr><th>Measure</th><th>Value</th><th class="n">n</th></tr>
{% for one in measures -%}
<tr><td>{{ one.title }}<br><small>{{ one.definition }}</small></td><td class="value">{{ one.words }}</td>
<td class="n">{{ one.n }} <small>{{ one.counted }}</small></td></tr>
{% endfor -%}
</table>

<h2>Deployments by week</h2>
{% if bars -%}
<svg viewBox="0 0 {{ width }} {{ height + 20 }}" width="{{ width }}" height="{{ height + 20 }}" role="img"
aria-label="Deployments by week, failed ones in red">
{% for bar in bars -%}
<g><title>{{ bar.week }}: {{ bar.all }} deployments, {{ bar.failed }} failed</title>
<rect x="{{ bar.x }}" y="{{ height - bar.high }}" width="{{ bar_width }}" height="{{ bar.high }}" fill="var(--plain)"/>
<rect x="{{ bar.x }}" y="{{ height - bar.bad }}" width="{{ bar_width }}" height="{{ bar.bad }}" fill="var(--bad)"/>
{% if bar.label %}<text x="{{ bar.x }}" y="{{ height + 14 }}">{{ bar.label }}</text>{% endif %}</g>
{% endfor -%}
</svg>
{% else -%}
<p>none</p>
{% endif %}
<h2>Stories</h2>
<p>{{ summary.stories|length }} stories, {{ "%g" % summary.points }} points,
{{ "%g" % summary.points_released }} of them released</p>
{% if summary.stories -%}
<table><tr><th>Story</th><th class="n">Points</th><th>Release</th></tr>
{% for one in summary.stories -%}
<tr><td>{{ one.id }}{% if one.together %} <small>with {{ one.together|join(", ") }}</small>{% endif %}</td>
<td class="n">{{ "" if one.points is none else "%g" % one.points }}</td>
<td>{{ one.release or "not released" }}</td></tr>
{% endfor -%}
</table>
{% endif %}
<h2>Releases</h2>
{% if summary.releases -%}
<table><tr><th>Version</th><th>Date</th><th></th></tr>
{% for one in summary.releases -%}
<tr><td>{{ one.version }}</td><td>{{ one.at }}</td><td>{{ "hotfix" if one.hotfix }}</td></tr>
{% endfor -%}
</table>
{% else %}<p>none</p>{% endif %}
<h2>Incidents</h2>
{% if summary.incidents -%}
<table><tr><th>Incident</th><th>Severity</th><th>Detected</th><th>State</th><th>Time to recovery</th></tr>
{% for one in summary.incidents -%}
<tr><td>{{ one.id }}: {{ one.title }}</td><td>{{ one.severity or "not graded" }}</td><td>{{ one.detected }}</td>
<td{% if one.state != "resolved" %} class="bad"{% endif %}>{{ one.state }}</td>
<td>{{ "" if one.time_to_recovery_s is none else words(one.time_to_recovery_s) }}</td></tr>
{% endfor -%}
</table>
{% else %}<p>none</p>{% endif %}
<h2>Security findings, S0 to S2</h2>
<p>{{ summary.security.found }} found, {{ summary.security.fixed }} fixed, {{ summary.security.open }} open</p>
{% if summary.security.findings -%}
<table><tr><th>Finding</th><th>Severity</th><th>Service</th><th>Found</th><th>Fixed</th></tr>
{% for one in summary.security.findings -%}
<tr><td>{{ one.id }}</td><td>{{ one.severity }}</td><td>{{ one.service }}</td><td>{{ one.found }}</td>
<td{% if not one.fixed %} class="bad"{% endif %}>{{ one.fixed or "open" }}</td></tr>
{% endfor -%}
</table>
{% endif -%}
{% if summary.security.fixes %}<p>Security fixes in the history:</p>
<ul>
{% for one in summary.security.fixes -%}
<li>{{ one.text }} <small>{{ one.sha[:12] }}, {{ one.release or "not released" }}</small></li>
{% endfor -%}
</ul>
{% endif -%}
</html>
"""


class Bar(NamedTuple):
    """One week's deployments in the chart; lengths in pixels."""

    week: str
    all: int
    failed: int
    x: int
    high: float
    bad: float
    label: str


def bars(found: Sequence[Deployment], *, now: datetime, weeks: int = WEEKS) -> list[Bar]:
    """The last *weeks* weeks up to *now* (Monday first), oldest first, from the first with a deployment on."""
    this_week = (now - timedelta(days=now.weekday())).date()
    mondays = [this_week - timedelta(weeks=back) for back in range(weeks - 1, -1, -1)]
    by_week: dict[Any, list[Deployment]] = {monday: [] for monday in mondays}
    for one in found:
        monday = (one.at - timedelta(days=one.at.weekday())).date()
        if monday in by_week:
            by_week[monday].append(one)
    while by_week and not by_week[mondays[0]]:
        del by_week[mondays.pop(0)]
    most = max((len(some) for some in by_week.values()), default=1)
    return [
        Bar(
            str(monday),
            len(some),
            failed := sum(one.failed for one in some),
            at * _STEP,
            round(_HEIGHT * len(some) / most, 1),
            round(_HEIGHT * failed / most, 1),
            monday.strftime("%m-%d") if at % 3 == 0 else "",
        )
        for at, (monday, some) in enumerate(by_week.items())
    ]


def render(
    project: str,
    measured: Sequence[Measure],
    summary: Summary,
    found: Sequence[Deployment],
    *,
    since: str,
    until: str,
    now: datetime,
) -> str:
    """The page; every text from outside is escaped."""
    drawn = bars(found, now=now)
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(_PAGE)
    return page.render(
        project=project,
        measures=measured,
        summary=summary,
        bars=drawn,
        width=max(len(drawn) * _STEP + 20, 240),
        height=_HEIGHT,
        bar_width=_BAR,
        since=since,
        until=until,
        words=in_words,
    )
