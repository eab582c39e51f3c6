// A terminal on an instance, by the protocol that /openapi.json describes. It is loaded when one is opened.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Screen } from "@xterm/xterm";
import rules from "@xterm/xterm/css/xterm.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { useRoute } from "preact-iso/router";
import { get, query, self } from "./ask";
import { path, View } from "./parts";
import type { Instance, TerminalEnd } from "./types";

const sheet = new CSSStyleSheet();
sheet.replaceSync(rules);
document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

const input = 0;
const size = 1;
const shown = 2;
const output = 3;
const end = 4;

const dark = { background: "#0e1116", foreground: "#e4e7eb", cursor: "#e4e7eb", selectionBackground: "#3b5068" };
const light = {
  background: "#ffffff",
  foreground: "#1f2933",
  cursor: "#1f2933",
  selectionBackground: "#b6d4f2",
  black: "#1f2933",
  red: "#b42318",
  green: "#1a6b3a",
  yellow: "#8a5300",
  blue: "#1d5fa8",
  magenta: "#86198f",
  cyan: "#0b6470",
  white: "#52606d",
  brightBlack: "#52606d",
  brightRed: "#b42318",
  brightGreen: "#1a6b3a",
  brightYellow: "#8a5300",
  brightBlue: "#1d5fa8",
  brightMagenta: "#86198f",
  brightCyan: "#0b6470",
  brightWhite: "#1f2933",
};

function message(kind: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(body.length + 1);
  out[0] = kind;
  out.set(body, 1);
  return out;
}

/** useTerminal is whether the user may open a terminal on an instance, and whether as one who acts on another's. */
function useTerminal(name: string): { ok?: boolean; any?: boolean; why?: string } {
  const [out, set] = useState<{ ok?: boolean; any?: boolean; why?: string }>({});
  useEffect(() => {
    get<Instance>("/v1/instances/" + encodeURIComponent(name)).then(
      (i) => set(i.lease ? { ok: true, any: i.lease.owner !== self.value?.name } : { ok: false, why: `${name} is ${i.state}: a terminal is for an instance that is leased.` }),
      (e: Error) => set({ ok: false, why: e.message }),
    );
  }, [name]);
  return out;
}

export default function TerminalView() {
  const name = useRoute().params.name || "";
  const may = useTerminal(name);
  const [ended, setEnded] = useState("");
  const [round, setRound] = useState(0);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!may.ok || !place.current) return;
    setEnded("");
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const screen = new Screen({
      theme: scheme.matches ? dark : light,
      fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace",
      fontSize: 14,
      scrollback: 10_000,
      screenReaderMode: false,
      minimumContrastRatio: 4.5,
    });
    const fit = new FitAddon();
    screen.loadAddon(fit);
    screen.open(place.current);
    fit.fit();
    const recolour = () => (screen.options.theme = scheme.matches ? dark : light);
    scheme.addEventListener("change", recolour);
    const address = new URL(`/v1/instances/${encodeURIComponent(name)}/terminal${query({ rows: screen.rows, columns: screen.cols, any: may.any })}`, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address, "hostler-terminal");
    socket.binaryType = "arraybuffer";
    const send = (kind: number, body: Uint8Array) => socket.readyState === WebSocket.OPEN && socket.send(message(kind, body));
    const numbers = (bytes: number, set: (v: DataView) => void) => {
      const v = new DataView(new ArrayBuffer(bytes));
      set(v);
      return new Uint8Array(v.buffer);
    };
    const text = new TextEncoder();
    let over = false;
    const close = (why: string) => {
      if (over) return;
      over = true;
      screen.options.disableStdin = true;
      screen.options.cursorBlink = false;
      setEnded(why);
    };
    socket.onopen = () => screen.focus();
    socket.onmessage = (m) => {
      const all = new Uint8Array(m.data as ArrayBuffer);
      const body = all.subarray(1);
      if (all[0] === output) {
        screen.write(body, () => send(shown, numbers(4, (v) => v.setUint32(0, body.length))));
      } else if (all[0] === end) {
        const e = JSON.parse(new TextDecoder().decode(body)) as TerminalEnd;
        close(e.reason || (e.signal ? `The shell was ended by signal ${e.signal}.` : `The shell ended with status ${e.status}.`));
      }
    };
    socket.onclose = () => close("The connection was lost.");
    const data = screen.onData((typed) => send(input, text.encode(typed)));
    const binary = screen.onBinary((typed) => send(input, Uint8Array.from(typed, (c) => c.charCodeAt(0))));
    const resized = screen.onResize((s) =>
      send(
        size,
        numbers(4, (v) => {
          v.setUint16(0, s.rows);
          v.setUint16(2, s.cols);
        }),
      ),
    );
    const watch = new ResizeObserver(() => fit.fit());
    watch.observe(place.current);
    return () => {
      over = true;
      watch.disconnect();
      scheme.removeEventListener("change", recolour);
      for (const d of [data, binary, resized]) d.dispose();
      socket.close();
      screen.dispose();
    };
  }, [name, may.ok, may.any, round]);
  return (
    <View
      title={"Terminal on " + name}
      actions={
        <div class="actions">
          {ended && (
            <button type="button" class="main" onClick={() => setRound(round + 1)}>
              Open anew
            </button>
          )}
          <a class="button" href={path(name)}>
            Close
          </a>
        </div>
      }
    >
      <p class={ended ? "problem" : "muted"} role="status">
        {may.why || ended || "Tab is the shell's. To leave the terminal with the keyboard: Ctrl+Shift+Escape."}
      </p>
      <div
        class="screen"
        ref={place}
        onKeyDownCapture={(e) => {
          if (e.key === "Escape" && e.ctrlKey && e.shiftKey) {
            e.preventDefault();
            e.stopPropagation();
            document.querySelector<HTMLElement>(".head .actions a")?.focus();
          }
        }}
      />
    </View>
  );
}
