// What is said to the user of what was done, or why it was not.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

const said = signal<{ text: string; bad: boolean } | undefined>(undefined);

export function say(text: string, bad = false) {
  said.value = { text, bad };
}

/** Said is what was said last, for eyes and screen readers. */
export function Said() {
  const now = said.value;
  useEffect(() => {
    if (!now || now.bad) return;
    const t = setTimeout(() => said.value === now && (said.value = undefined), 6000);
    return () => clearTimeout(t);
  }, [now]);
  return (
    <div class="said" role={now?.bad ? "alert" : "status"} aria-live={now?.bad ? "assertive" : "polite"}>
      {now && (
        <p class={now.bad ? "bad" : "good"}>
          {now.text}
          <button type="button" class="quiet" aria-label="Close this message" onClick={() => (said.value = undefined)}>
            ×
          </button>
        </p>
      )}
    </div>
  );
}
