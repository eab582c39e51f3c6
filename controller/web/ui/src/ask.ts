// Asking the controller. A browser is known by its session's cookie, which this code cannot read; what changes something says that it comes from this page.
import { signal } from "@preact/signals";
import type { Problem, Self } from "./types";

/** Who the user is; null: nobody, so that he has to sign in; undefined: it is not known yet. */
export const self = signal<Self | null | undefined>(undefined);

/** The controller answers. */
export const reached = signal(true);
/** away says why it is not known yet who asks; "": it is, or nobody was asked yet. */
export const away = signal("");

export class Refusal extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly hint = "",
  ) {
    super(detail);
  }
}

export async function ask<T>(method: string, path: string, options: { body?: unknown; signal?: AbortSignal; headers?: Record<string, string> } = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (method !== "GET") headers["Hostler-Page"] = "1";
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
      cache: "no-store",
      redirect: "error",
    });
  } catch (e) {
    if (!options.signal?.aborted) reached.value = false;
    throw new Refusal(0, "The controller does not answer.");
  }
  reached.value = true;
  if (!answer.ok) {
    const p = (await answer.json().catch(() => ({}))) as Partial<Problem>;
    if (answer.status === 401) self.value = null;
    throw new Refusal(answer.status, p.detail || `The controller answers ${answer.status}.`, p.hint);
  }
  if (answer.status === 204) return undefined as T;
  const text = await answer.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const get = <T>(path: string, signal?: AbortSignal) => ask<T>("GET", path, { signal });

/** query makes the part of an address behind "?", of what is not empty. */
export function query(values: Record<string, string | number | boolean | undefined>): string {
  const q = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && value !== "" && value !== false) q.set(key, String(value));
  }
  const text = q.toString();
  return text && "?" + text;
}

export async function whoAmI() {
  try {
    self.value = await get<Self>("/v1/self");
    away.value = "";
  } catch (e) {
    // 401 has said so; else it is asked again: there may be something in front of a controller that is away, and answers in its place
    away.value = (e as Refusal).message;
  }
}
