// What runs in the partitions of a computer, and what was checked there, as its node told last.
import { At, Table } from "./parts";
import type { SlapComputerDetail, SlapPartition, SlapProgram, SlapPromise } from "./types";
import { size, span } from "./words";

/** each is every one of what partitions have, with its partition. */
const each = <T,>(c: SlapComputerDetail, of: (p: SlapPartition) => T[]) => c.slots.flatMap((p) => of(p).map((one): [SlapPartition, T] => [p, one]));

const bad = (p: SlapProgram) => p.state === "FATAL" || p.state === "BACKOFF" || (p.state === "EXITED" && p.name.endsWith("-on-watch"));

export function Runs({ c }: { c: SlapComputerDetail }) {
  const programs = each(c, (p) => p.programs);
  const promises = each(c, (p) => p.promises);
  if (!c.told) return null; // SlapOS's own nodes do not tell
  return (
    <>
      <h2>
        What runs <small class="muted">told <At time={c.told} /></small>
      </h2>
      {programs.length === 0 ? <p class="muted">Nothing does.</p> : <Programs all={programs} />}
      <h2>Promises</h2>
      {promises.length === 0 ? <p class="muted">None was checked.</p> : <Promises all={promises} />}
    </>
  );
}

function Programs({ all }: { all: [SlapPartition, SlapProgram][] }) {
  return (
    <Table
      label="What runs"
      columns={["Partition", "Program", "State", "Since", ["CPU", "n"], ["Memory", "n"]]}
    >
      {all.map(([at, p]) => (
        <tr key={at.partition + ":" + p.name}>
          <td>{at.partition}</td>
          <th scope="row">{p.name}</th>
          <td>
            <span class={"state " + (p.state === "RUNNING" ? "ready" : bad(p) ? "failed" : "held")}>{p.state.toLowerCase()}</span>
          </td>
          <td>{p.started && <At time={p.started} />}</td>
          <td class="n">{p.pid && span(p.cpu)}</td>
          <td class="n">{p.pid && size(p.memory)}</td>
        </tr>
      ))}
    </Table>
  );
}

function Promises({ all }: { all: [SlapPartition, SlapPromise][] }) {
  const sorted = [...all].sort(([, a], [, b]) => Number(b.failed) - Number(a.failed));
  return (
    <Table
      label="Promises"
      class="words"
      columns={["Partition", "Promise", "Last", ["Last day", "wide"], "What it said"]}
    >
      {sorted.map(([at, p]) => (
        <tr key={at.partition + ":" + p.name}>
          <td>{at.partition}</td>
          <th scope="row">{p.name}</th>
          <td>
            <span class={"state " + (p.failed ? "failed" : "ready")}>{p.failed ? "failed" : "kept"}</span> {p.at && <At time={p.at} />}
          </td>
          <td class="wide">{p.hours && p.until && <Day hours={p.hours} until={p.until} />}</td>
          <td class={p.failed ? "bad value" : "value"}>{p.text}</td>
        </tr>
      ))}
    </Table>
  );
}

const hour = 3600 * 1000;

/** Day plots hours, a bar each: as high as what failed of what was asked then, low where all was kept, none where nothing was asked. */
function Day({ hours, until }: { hours: string; until: string }) {
  const all = [...hours];
  const asked = all.filter((h) => h !== "-");
  const failed = asked.filter((h) => h !== "0");
  const from = (n: number) => new Date(Date.parse(until) - (all.length - n) * hour).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const worst = failed.length > 0 ? ` Failed in ${failed.length}, the last of them from ${from(Math.max(...all.map((h, n) => (h !== "-" && h !== "0" ? n : 0))))} on.` : " Kept all the time.";
  return (
    <svg class="day" viewBox={`0 0 ${all.length * 5} 20`} role="img" aria-label={`Asked in ${asked.length} of ${all.length} hours.` + worst}>
      {all.map((h, n) => {
        const high = h === "-" ? 0 : h === "0" ? 4 : 4 + (16 * Number(h)) / 9;
        return (
          <rect class={h === "0" ? "kept" : "failed"} x={n * 5} y={20 - high} width="4" height={high}>
            <title>{`${from(n)}: ${h === "-" ? "not asked" : h === "0" ? "kept" : `failed ${Math.round((Number(h) / 9) * 100)} %`}`}</title>
          </rect>
        );
      })}
    </svg>
  );
}
