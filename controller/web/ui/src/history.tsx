// How sources were used: plots of waiting time, hits and misses, instances and cost. Each has its numbers as a table too.
import { useLocation } from "preact-iso/router";
import { query } from "./ask";
import { useAsked } from "./live";
import { View } from "./parts";
import type { History, Point, Source } from "./types";
import { figure, span } from "./words";

export function Histories() {
  const { query: asking, route } = useLocation();
  const source = asking.source || "";
  const day = asking.span === "day";
  const asked = useAsked<History>("/v1/history" + query({ source, span: day ? "day" : "hour" }));
  const sources = useAsked<{ sources: Source[] | null }>("/v1/sources").data?.sources || [];
  const h = asked.data;
  const points = h?.points || [];
  const go = (source: string, span: string) => route("/history" + query({ source, span }), true);
  const given = points.reduce((n, p) => n + p.given, 0);
  const hits = points.reduce((n, p) => n + p.hits, 0);
  const seconds = figure;
  return (
    <View title="History">
      <div class="filters">
        <label>
          Source
          <select value={source} onChange={(e) => go(e.currentTarget.value, day ? "day" : "")}>
            <option value="">all</option>
            {[...new Set(sources.map((s) => s.name))].map((n) => (
              <option value={n}>{n}</option>
            ))}
          </select>
        </label>
        <label>
          Time
          <select value={day ? "day" : "hour"} onChange={(e) => go(source, e.currentTarget.value === "day" ? "day" : "")}>
            <option value="hour">last hour</option>
            <option value="day">last day</option>
          </select>
        </label>
      </div>
      {asked.problem && asked.problem.status !== 401 && asked.problem.status !== 0 && <p class="problem">{asked.problem.message}</p>}
      {h && (
        <>
          <p>
            {given === 0 ? "No lease was given in this time." : `${given} ${given === 1 ? "lease was" : "leases were"} given, ${hits} of them (${Math.round((hits / given) * 100)} %) at once from what stood ready.`}
          </p>
          <div class="plots">
            <Plot title="Leases" unit="" points={points} step={h.step} bars={[["hit", "from what stood ready", (p) => p.hits], ["miss", "had to wait", (p) => p.misses]]} />
            <Plot title="Waiting time of those that waited" unit="s" points={points} step={h.step} bars={[]} format={span} lines={[["mean", "mean", (p) => p.waited], ["longest", "longest", (p) => p.longest]]} dots />
            <Plot title="Instances" unit="" points={points} step={h.step} bars={[]} lines={[["present", "there", (p) => p.present], ["used", "in use", (p) => p.in_use]]} />
            {h.priced ? (
              <Plot title="Cost of an hour" unit="" points={points} step={h.step} bars={[["cost", "cost", (p) => p.cost || 0]]} format={seconds} />
            ) : (
              <figure class="plot">
                <figcaption>Cost of an hour</figcaption>
                <p class="muted">
                  No price is known. <code>price = 0.12</code> in a source.conf says what an instance costs for an hour.
                </p>
              </figure>
            )}
          </div>
        </>
      )}
    </View>
  );
}

type Row = [kind: string, name: string, of: (p: Point) => number | null];

const width = 560;
const height = 170;
const left = 8;
const bottom = 24;
const top = 24;

/** nice is a round number that is not below another. */
function nice(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((k) => k * power).find((k) => k >= most * 0.999)!;
}

function Plot(props: { title: string; unit: string; points: Point[]; step: number; bars: Row[]; lines?: Row[]; dots?: boolean; format?: (n: number) => string }) {
  const { points, bars, lines = [] } = props;
  const format = props.format || figure;
  let most = 0;
  for (const p of points) {
    most = Math.max(most, bars.reduce((n, [, , of]) => n + (of(p) || 0), 0), ...lines.map(([, , of]) => of(p) || 0));
  }
  const top_ = nice(most);
  const x = (n: number) => left + (n * (width - 2 * left)) / Math.max(1, points.length);
  const y = (v: number) => top + (1 - v / top_) * (height - top - bottom);
  const wide = Math.max(1, (width - 2 * left) / Math.max(1, points.length) - 1);
  const ticks = [0, 0.25, 0.5, 0.75].map((f) => Math.floor(f * points.length)).filter((n) => points[n]);
  const summary = [...bars, ...lines].map(([, name, of]) => `${name}: at most ${format(Math.max(0, ...points.map((p) => of(p) || 0)))}`).join("; ");
  return (
    <figure class="plot">
      <figcaption>
        {props.title}
        <span class="legend">
          {[...bars, ...lines].map(([kind, name]) => (
            <span>
              <i class={kind} /> {name}
            </span>
          ))}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${props.title}. ${summary}.`}>
        {[0, 0.5, 1].map((f) => (
          <line class="grid" x1={left} x2={width - left} y1={y(top_ * f)} y2={y(top_ * f)} />
        ))}
        <text x={left} y={y(top_) - 4}>
          {format(top_)}
        </text>
        {ticks.map((n, k) => (
          <text x={x(n)} y={height - 5} class={n === 0 ? "" : k % 2 ? "mid odd" : "mid"}>
            {new Date(points[n]!.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}
          </text>
        ))}
        <text x={width - left} y={height - 5} class="end">
          now
        </text>
        {points.map((p, n) => {
          let from = 0;
          return bars.map(([kind, , of]) => {
            const v = of(p) || 0;
            const bar = v > 0 && <rect class={kind} x={x(n)} width={wide} y={y(from + v)} height={Math.max(1, y(from) - y(from + v))} />;
            from += v;
            return bar;
          });
        })}
        {lines.map(([kind, , of]) => (
          <path class={kind} d={trace(points, of, x, y)} />
        ))}
        {props.dots && lines.map(([kind, , of]) => points.map((p, n) => of(p) !== null && <circle class={kind} cx={(x(n) + x(n + 1)) / 2} cy={y(of(p)!)} r="2.5" />))}
      </svg>
      <details>
        <summary>Numbers</summary>
        <div class="table" tabIndex={0} role="region" aria-label={props.title + " in numbers"}>
          <table>
            <thead>
              <tr>
                <th scope="col">From</th>
                {[...bars, ...lines].map(([, name]) => (
                  <th scope="col" class="n">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {[...points]
                .reverse()
                .filter((p) => [...bars, ...lines].some(([, , of]) => of(p)))
                .map((p) => (
                  <tr>
                    <th scope="row">{new Date(p.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}</th>
                    {[...bars, ...lines].map(([, , of]) => (
                      <td class="n">{of(p) === null ? "" : format(of(p)!)}</td>
                    ))}
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

/** trace is a line through what is known, with gaps where nothing is. */
function trace(points: Point[], of: (p: Point) => number | null, x: (n: number) => number, y: (v: number) => number): string {
  let d = "";
  let on = false;
  points.forEach((p, n) => {
    const v = of(p);
    if (v === null) {
      on = false;
      return;
    }
    d += `${on ? "L" : "M"}${((x(n) + x(n + 1)) / 2).toFixed(1)} ${y(v).toFixed(1)}`;
    on = true;
  });
  return d;
}
