// Times and numbers for people.
import { signal } from "@preact/signals";

/** now moves every few seconds, so that ages stay true. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 5000);

/** span is a number of seconds, in two units at most. */
export function span(seconds: number): string {
  const s = Math.abs(seconds);
  if (s === 0) return "0 s";
  if (s < 0.0995) return (s * 1000).toPrecision(2).replace(/\.0$/, "") + " ms";
  if (s < 59.95) return String(Number(s.toPrecision(s < 10 ? 2 : 3))) + " s";
  const units: [string, number][] = [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  const k = units.findIndex(([, size]) => s >= size);
  const [name, size] = units[k]!;
  const next = units[k + 1];
  const rest = next ? Math.floor((s % size) / next[1]) : 0;
  return `${Math.floor(s / size)} ${name}` + (rest && next ? ` ${rest} ${next[0]}` : "");
}

/** ago is how long it is since a time. */
export function ago(time: string): string {
  const s = (now.value - Date.parse(time)) / 1000;
  return s < 5 ? "just now" : span(Math.floor(s)) + " ago";
}

/** until is how long it is to a time. */
export function until(time: string | null): string {
  if (!time) return "never";
  const s = (Date.parse(time) - now.value) / 1000;
  return s <= 0 ? "now" : "in " + span(Math.ceil(s));
}

export const clock = (time: string) => new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const exact = (time: string) => new Date(time).toLocaleString();

/** figure is a number with at most three digits that say something. */
export const figure = (n: number) => (n >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString() : String(Number(n.toPrecision(3))));

/** size is a number of bytes, by powers of 1024. */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let k = 0;
  for (; bytes >= 1000 && k < units.length - 1; k++) bytes /= 1024;
  return figure(bytes) + " " + units[k];
}
