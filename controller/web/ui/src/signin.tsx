// Signing in: at the provider that the controller believes, or with a token, which is sent once and then kept by the browser where no script can read it.
import { useEffect, useState } from "preact/hooks";
import { ask, get, query, Refusal, whoAmI } from "./ask";
import type { SignIn } from "./types";

export function SigningIn() {
  const [how, setHow] = useState<SignIn>({});
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Sign in · hostler";
    get<SignIn>("/v1/login").then(setHow, () => {});
  }, []);
  const enter = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setWrong("");
    try {
      await ask("POST", "/v1/session", { headers: { Authorization: "Bearer " + token.trim() } });
      setToken("");
      await whoAmI();
    } catch (e) {
      const r = e as Refusal;
      setWrong(r.status === 401 ? "The controller does not know this token." : r.message);
    }
    setBusy(false);
  };
  return (
    <main class="signin" id="main">
      <h1>hostler</h1>
      {how.issuer && (
        <>
          <p>
            <a class="button main" href={"/login" + query({ next: location.pathname + location.search })} target="_top" rel="external" data-native onClick={(e) => e.stopPropagation()}>
              Sign in at {new URL(how.issuer).host}
            </a>
          </p>
          <p class="muted">or with a token:</p>
        </>
      )}
      <form onSubmit={enter}>
        <label>
          Token
          <input type="password" autoComplete="current-password" value={token} onInput={(e) => setToken(e.currentTarget.value)} required aria-describedby="where" aria-invalid={!!wrong} />
        </label>
        <small id="where">
          <code>hostler token create</code> makes one. The administrator's is in <code>controller.token</code> in the controller's state directory.
        </small>
        <p role="alert" class={wrong ? "problem" : "unseen"}>
          {wrong}
        </p>
        <button type="submit" class="main" disabled={busy}>
          Sign in
        </button>
      </form>
    </main>
  );
}
