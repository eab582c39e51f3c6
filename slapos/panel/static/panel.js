// The panel asks the master that it came from, by the JSON API, and shows what it says as text.
const ask = async (method, about = {}) => {
  const answer = await fetch(new URL("../" + method, document.baseURI), {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(about),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.title || `${method}: ${answer.status}`);
  return said;
};

const make = (name, text, ...inside) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  element.append(...inside);
  return element;
};

const table = (header, rows) => {
  const head = make("tr");
  for (const text of header) {
    const cell = make("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  const body = make("tbody");
  for (const row of rows) body.append(make("tr", undefined, ...row.map((text) => make("td", text))));
  return [make("thead", undefined, head), body];
};

const node = async (guid) => {
  const about = { computer_guid: guid };
  const [software, instances] = await Promise.all([
    ask("slapos.allDocs.v0.compute_node_software_installation_list", about),
    ask("slapos.allDocs.v0.compute_node_instance_list", about),
  ]);
  const part = make("section", undefined, make("h3", guid));
  part.append(make("table", undefined, ...table(["Release", "Wanted"], software.result_list.map((s) => [s.software_release_uri, s.state]))));
  part.append(make("table", undefined, ...table(["Partition", "Instance", "Wanted", "Release"],
    instances.result_list.map((i) => [i.compute_partition_id, i.title, i.state, i.software_release_uri]))));
  return part;
};

const look = async () => {
  const said = document.getElementById("said");
  try {
    const trees = await ask("slapos.allDocs.v0.instance_tree_list");
    document.getElementById("tree-rows").replaceChildren(...table(["Title"], trees.result_list.map((t) => [t.title])));
    const nodes = await ask("slapos.allDocs.WIP.compute_node_list");
    const parts = [];
    for (const n of nodes.result_list) parts.push(await node(n.computer_guid));
    document.getElementById("node-rows").replaceChildren(...parts);
    said.textContent = `${trees.result_list.length} services, ${nodes.result_list.length} computers.`;
  } catch (err) {
    said.textContent = `The master does not tell: ${err.message}`;
  }
};

document.getElementById("again").addEventListener("click", look);
look();
