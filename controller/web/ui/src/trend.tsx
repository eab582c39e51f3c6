// A plot of one quantity over time, with its numbers as a table.
import { figure } from "./words";

export interface TrendPoint {
  time: string;
  quantity: number;
}

const width = 560;
const height = 150;
const left = 8;
const bottom = 24;
const top = 24;

/** Trend is drawn by the times of its points, which need not be regular. */
export function Trend({ title, points }: { title: string; points: TrendPoint[] }) {
  const times = points.map((p) => Date.parse(p.time));
  const first = times[0] || 0;
  const last = times[times.length - 1] || 0;
  const most = Math.max(...points.map((p) => p.quantity), 0) || 1;
  const least = Math.min(...points.map((p) => p.quantity), 0);
  const x = (t: number) => (last === first ? width / 2 : left + ((t - first) / (last - first)) * (width - 2 * left));
  const y = (v: number) => top + (1 - (v - least) / (most - least)) * (height - top - bottom);
  const when = (t: number) => new Date(t).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const now = points[points.length - 1]?.quantity || 0;
  return (
    <figure class="plot">
      <figcaption>{title}</figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${title}. At most ${figure(most)}, last ${figure(now)}.`}>
        {[least, most].map((v) => (
          <line class="grid" x1={left} x2={width - left} y1={y(v)} y2={y(v)} />
        ))}
        <text x={left} y={y(most) - 4}>
          {figure(most)}
        </text>
        <text x={left} y={height - 5}>
          {when(first)}
        </text>
        {last > first && (
          <text x={width - left} y={height - 5} class="end">
            {when(last)}
          </text>
        )}
        <path class="used" d={points.map((p, n) => `${n ? "L" : "M"}${x(times[n]!).toFixed(1)} ${y(p.quantity).toFixed(1)}`).join("")} />
        {points.map((p, n) => (
          <circle class="used" cx={x(times[n]!)} cy={y(p.quantity)} r="2.5" />
        ))}
      </svg>
      <details>
        <summary>Numbers</summary>
        <div class="table" tabIndex={0} role="region" aria-label={title + " in numbers"}>
          <table>
            <thead>
              <tr>
                <th scope="col">Reported</th>
                <th scope="col" class="n">
                  Quantity
                </th>
              </tr>
            </thead>
            <tbody>
              {[...points].reverse().map((p) => (
                <tr key={p.time}>
                  <th scope="row">{when(Date.parse(p.time))}</th>
                  <td class="n">{figure(p.quantity)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
