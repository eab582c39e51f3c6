// One computer of the SlapOS master: its partitions, the releases on it, and how it was used.
import { useRoute } from "preact-iso/router";
import { useState } from "preact/hooks";
import { Act, Asking, asks } from "./acts";
import { ask, Refusal } from "./ask";
import { ring, useAsked } from "./live";
import { At, Fact, Table } from "./parts";
import { say } from "./said";
import { instancePath, Is, mayAct, Message, Reported, SlapView, Wanted } from "./slap";
import { Runs } from "./slapruns";
import { Usage } from "./slapusage";
import type { SlapComputerDetail, SlapRelease } from "./types";

const at = (name: string) => "/v1/slap/computers/" + encodeURIComponent(name);

export function Computer() {
  const name = useRoute().params.name || "";
  const asked = useAsked<SlapComputerDetail>(at(name));
  const c = asked.data;
  return (
    <SlapView title={name} asked={asked}>
      {c && (
        <>
          <Message s={c.status} />
          <dl class="facts">
            <Fact name="Node">{c.status ? <>seen <At time={c.status.at} /></> : "never seen"}</Fact>
            <Fact name="Partitions">
              {c.busy} of {c.partitions} in use
            </Fact>
            {c.title && <Fact name="Title">{c.title}</Fact>}
            {c.owner && <Fact name="Owner">{c.owner}</Fact>}
            {c.project && <Fact name="Project">{c.project}</Fact>}
            {c.network && <Fact name="Network">{c.network}</Fact>}
            {c.created && (
              <Fact name="Created">
                <At time={c.created} />
              </Fact>
            )}
          </dl>
          <h2>Software</h2>
          <Releases c={c} />
          <h2>Partitions</h2>
          <Slots c={c} />
          <Runs c={c} />
          <Usage key={name} name={name} />
        </>
      )}
      <Asking />
    </SlapView>
  );
}

function remove(computer: string, r: SlapRelease) {
  asks({
    title: "Remove the software?",
    text: `${r.release} is wanted away from ${computer}. Its node removes it when nothing uses it any more.`,
    act: "Remove",
    lost: true,
    run: async () => {
      await ask("POST", at(computer) + "/supply", { body: { release: r.release, state: "destroyed" } });
      return "The software is wanted away.";
    },
  });
}

function Releases({ c }: { c: SlapComputerDetail }) {
  const [url, set] = useState("");
  const supply = async (e: SubmitEvent) => {
    e.preventDefault();
    try {
      await ask("POST", at(c.computer) + "/supply", { body: { release: url.trim() } });
      say("The software is wanted on " + c.computer + ".");
      set("");
    } catch (e) {
      say((e as Refusal).message, true);
    }
    ring();
  };
  return (
    <>
      {c.supplied.length === 0 ? (
        <p class="muted">None is wanted on it.</p>
      ) : (
        <Table
          label="Software"
          class="words"
          columns={["Release", "Wanted", "Reported", ""]}
        >
          {c.supplied.map((r) => (
            <tr key={r.release}>
              <th scope="row" class="value">
                {r.release}
                <Message s={r.status} />
              </th>
              <td>
                <Is it={r.state} />
              </td>
              <td>
                <Reported s={r.status} />
              </td>
              <td class="acts">
                {mayAct() && r.state !== "destroyed" && (
                  <Act on={() => remove(c.computer, r)} of={r.release}>
                    Remove
                  </Act>
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      {mayAct() && (
        <form class="filters" onSubmit={supply}>
          <label class="long">
            Software release
            <input type="text" value={url} onInput={(e) => set(e.currentTarget.value)} placeholder="https://…/software.cfg" maxLength={2000} required />
          </label>
          <button type="submit">Supply</button>
        </form>
      )}
    </>
  );
}

function Slots({ c }: { c: SlapComputerDetail }) {
  if (c.slots.length === 0) return <p class="muted">It has none: its node has not been formatted.</p>;
  return (
    <Table
      label="Partitions"
      columns={["Partition", "Instance", "Wanted", "Reported", ["Tree", "wide"], ["Addresses", "wide"]]}
    >
      {c.slots.map(({ partition, addresses, instance: i }) => (
        <tr key={partition}>
          <th scope="row">{partition}</th>
          {i ? (
            <>
              <td>
                <a href={instancePath(i.instance)}>{i.title}</a>
              </td>
              <td>
                <Wanted i={i} />
              </td>
              <td>
                <Reported s={i.status} />
                <Message s={i.status} />
              </td>
              <td class="wide">
                <a href={instancePath(i.root)}>{i.root_title}</a>
              </td>
            </>
          ) : (
            <td colSpan={4} class="muted">
              free
            </td>
          )}
          <td class="wide">{addresses.join(", ")}</td>
        </tr>
      ))}
    </Table>
  );
}
