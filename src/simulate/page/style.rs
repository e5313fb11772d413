//! How the page looks.

/// Each policy has a colour, by its place; there are so many.
const COLOURS: usize = 6;

/// The class that gives the policy at `at` its colour.
pub(super) fn colour(at: usize) -> String {
    format!("c{}", at % COLOURS)
}

pub(super) const STYLE: &str = "
:root { color-scheme: light dark; --back: #fff; --ink: #1a1a1a; --quiet: #666; --rule: #ddd;
  --c0: #c2410c; --c1: #1d4ed8; --c2: #0f766e; --c3: #7e22ce; --c4: #a16207; --c5: #be185d }
@media (prefers-color-scheme: dark) {
  :root { --back: #161616; --ink: #e6e6e6; --quiet: #9a9a9a; --rule: #3a3a3a;
    --c0: #fb923c; --c1: #7aa2ff; --c2: #2dd4bf; --c3: #c084fc; --c4: #facc15; --c5: #f472b6 } }
.c0 { --c: var(--c0) } .c1 { --c: var(--c1) } .c2 { --c: var(--c2) }
.c3 { --c: var(--c3) } .c4 { --c: var(--c4) } .c5 { --c: var(--c5) } .other { --c: var(--quiet) }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  font-variant-numeric: tabular-nums }
main { max-width: 66rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem }
h1 { margin: 0; font-size: 1.5rem; font-weight: 650; line-height: 1.3 }
h2 { margin: 2.75rem 0 .6rem; font-size: 1.05rem; font-weight: 650 }
p, ul, dl { max-width: 48rem; margin: .5rem 0 }
ul { padding-left: 1.2rem }
bdi { overflow-wrap: anywhere }
.quiet, thead th, .bound { color: var(--quiet) }
.wide { overflow-x: auto }
table { border-collapse: collapse; white-space: nowrap; font-size: .93rem }
th, td { padding: .3rem 0 .3rem 1rem; text-align: right; font-weight: 400 }
thead th { padding-top: 0; padding-bottom: .15rem; font-size: .8rem }
.apart { padding-left: 2rem }
th:first-child { padding-left: 0; text-align: left }
tbody tr { border-top: 1px solid var(--rule) }
.best { font-weight: 650 }
details { margin: .5rem 0 }
summary { cursor: pointer }
.functions > details { margin: 0; padding: .5rem 0; border-top: 1px solid var(--rule) }
summary + .wide { margin-top: .75rem }
dt { margin-top: .5rem; font-weight: 650 }
dd { margin: 0 }
figure { margin: 0 }
.key { display: inline-block; width: .65em; height: .65em; margin-right: .5em; background: var(--c) }
.key.line { width: 1.8em; height: 0; border-top: 2px solid var(--c); background: none; vertical-align: .25em }
.key.dash { border-top-style: dashed }
.keys { padding: 0; list-style: none }
svg { display: block; width: 100%; min-width: 44rem; height: auto; margin: .75rem 0 }
text { fill: var(--ink); font-size: 11px }
text.quiet { fill: var(--quiet) }
text.halo { paint-order: stroke; stroke: var(--back); stroke-width: 3px; stroke-linejoin: round }
.grid { stroke: var(--rule); fill: none }
path.line { fill: none; stroke: var(--c); stroke-width: 1.5 }
path.dash { stroke-dasharray: 5 4 }
.dot { fill: var(--c) }
.policy { stroke: var(--back); stroke-width: 1.5 }
.band { fill: var(--c); fill-opacity: .7 }
.band, .bars { shape-rendering: crispEdges }
.bars { fill: var(--quiet) }
";
