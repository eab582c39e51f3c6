// What the director would do now, and what it did lately, with its reasons.
import { useAsked } from "./live";
import { At, Instance, Table, View } from "./parts";
import type { Directive, Plans } from "./types";

export function Director() {
  const asked = useAsked<Plans>("/v1/plan");
  const d = asked.data;
  const plans = (d?.plans || []).filter((p) => p.wanted || p.have || p.cold || p.broken || p.directives?.length);
  const done = d?.directives || [];
  return (
    <View title="Director" asked={asked}>
      {d && !d.directs && <p class="warn">This controller makes nothing ahead of need: only what is asked for is made. Below is what would be done.</p>}
      <h2>Now</h2>
      {plans.length === 0 ? (
        <p class="muted">Nothing is wanted of any source.</p>
      ) : (
        <Table
          label="Plans"
          class="words"
          columns={["Source", ["Has", "n"], ["Wanted", "n"], ["May stay", "n wide"], "Why, and what follows"]}
        >
          {plans.map((p) => (
            <tr key={p.source}>
              <th scope="row">{p.source}</th>
              <td class="n">
                {p.have}
                {p.cold > 0 && <span class="muted"> +{p.cold} cold</span>}
              </td>
              <td class="n">{p.wanted}</td>
              <td class="n wide">{p.kept}</td>
              <td>
                <p class={p.broken ? "bad" : ""}>{p.reason}</p>
                {(p.directives || []).map((x) => (
                  <p>
                    <Do d={x} />
                    {p.dry_run && <span class="muted"> (dry run: only said)</span>}
                  </p>
                ))}
              </td>
            </tr>
          ))}
        </Table>
      )}
      <h2>Lately</h2>
      {done.length === 0 ? (
        <p class="muted">It has decided nothing lately.</p>
      ) : (
        <ol class="journal" aria-label="Directives">
          {done.map((x) => (
            <li key={x.id}>
              <At time={x.time} />
              <span class="kind">{x.source}</span>
              <span class="what">
                <Do d={x} />
                <span class="why"> {x.reason}</span>
              </span>
            </li>
          ))}
        </ol>
      )}
    </View>
  );
}

function Do({ d }: { d: Directive }) {
  if (d.do === "aim")
    return (
      <b>
        aim at reserve {d.reserve} and spare {d.spare}
      </b>
    );
  return (
    <b>
      {d.do} {d.instance ? <Instance name={d.instance} /> : d.count}
    </b>
  );
}
