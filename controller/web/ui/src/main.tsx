// The page: who is signed in, where one can go, and what is shown there.
import { render } from "preact";
import lazy from "preact-iso/lazy";
import { LocationProvider, Router, Route, useLocation } from "preact-iso/router";
import { useEffect } from "preact/hooks";
import { ask, away, reached, Refusal, self, whoAmI } from "./ask";
import { live, start } from "./live";
import { View } from "./parts";
import { Said, say } from "./said";
import { Sources } from "./sources";

// The first view comes with the page; the others right after it, but for the terminal, which is large.
const views = {
  instances: () => import("./instances").then((m) => m.Instances),
  instance: () => import("./instance").then((m) => m.One),
  leases: () => import("./leases").then((m) => m.Leases),
  director: () => import("./director").then((m) => m.Director),
  history: () => import("./history").then((m) => m.Histories),
  events: () => import("./events").then((m) => m.Events),
};
const slap = {
  trees: () => import("./slaplists").then((m) => m.Trees),
  computers: () => import("./slaplists").then((m) => m.Computers),
  computer: () => import("./slapcomputer").then((m) => m.Computer),
  instance: () => import("./slapinstance").then((m) => m.One),
  request: () => import("./slaprequest").then((m) => m.Request),
};
const Instances = lazy(views.instances);
const One = lazy(views.instance);
const Leases = lazy(views.leases);
const Director = lazy(views.director);
const Histories = lazy(views.history);
const Events = lazy(views.events);
const Trees = lazy(slap.trees);
const Computers = lazy(slap.computers);
const Computer = lazy(slap.computer);
const SlapOne = lazy(slap.instance);
const Request = lazy(slap.request);
const Terminal = lazy(() => import("./terminal"));
const SigningIn = lazy(() => import("./signin").then((m) => m.SigningIn));

const places: [string, string][] = [
  ["/", "Sources"],
  ["/instances", "Instances"],
  ["/leases", "Leases"],
  ["/director", "Director"],
  ["/history", "History"],
  ["/events", "Events"],
];
const ours = (): [string, string][] => (self.value?.slap ? [...places, ["/slap", "SlapOS"]] : places);

function Top() {
  const { path } = useLocation();
  const leave = async () => {
    try {
      await ask("DELETE", "/v1/session");
      self.value = null;
    } catch (e) {
      say((e as Refusal).message, true);
    }
  };
  return (
    <header>
      <a class="skip" href="#main" onClick={skip}>
        Skip to what is shown
      </a>
      <nav aria-label="Views">
        {ours().map(([to, name]) => (
          <a href={to} aria-current={(to === "/" ? path === "/" : path.startsWith(to)) ? "page" : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <p class="who">
        <span class={"link " + (live.value ? "on" : "off")} role="status">
          {live.value ? "live" : reached.value ? "connecting …" : "controller not reached"}
        </span>
        <span class="name">{self.value?.name}</span>
        <button type="button" class="quiet" onClick={leave}>
          Sign out
        </button>
      </p>
    </header>
  );
}

function skip(e: Event) {
  e.preventDefault();
  document.querySelector<HTMLElement>("h1")?.focus();
}

const Nowhere = () => (
  <View title="Not found">
    <p>
      There is nothing here. <a href="/">The sources</a> are a good place to begin.
    </p>
  </View>
);

function Page() {
  useEffect(() => {
    void whoAmI();
    const t = setInterval(() => self.value === undefined && void whoAmI(), 2000);
    return () => clearInterval(t);
  }, []);
  const who = self.value;
  useEffect(() => {
    if (!who) return;
    start();
    const t = setTimeout(() => [...Object.values(views), ...(who.slap ? Object.values(slap) : [])].forEach((load) => void load()), 1500);
    return () => clearTimeout(t);
  }, [who]);
  if (who === null)
    return (
      <Router>
        {[<Route default component={SigningIn} />]}
      </Router>
    );
  if (who === undefined) {
    return (
      <p class="loading muted" role="status">
        {away.value && away.value + " It is asked again …"}
      </p>
    );
  }
  return (
    <>
      <Top />
      <Said />
      <Router>
        <Route path="/" component={Sources} />
        <Route path="/instances" component={Instances} />
        <Route path="/instances/:name" component={One} />
        <Route path="/instances/:name/terminal" component={Terminal} />
        <Route path="/leases" component={Leases} />
        <Route path="/director" component={Director} />
        <Route path="/history" component={Histories} />
        <Route path="/events" component={Events} />
        <Route path="/slap" component={Trees} />
        <Route path="/slap/computers" component={Computers} />
        <Route path="/slap/computers/:name" component={Computer} />
        <Route path="/slap/request" component={Request} />
        <Route path="/slap/instances/:id" component={SlapOne} />
        <Route default component={Nowhere} />
      </Router>
    </>
  );
}

render(
  <LocationProvider scope={/^\/(?!login|v1\/)/}>
    <Page />
  </LocationProvider>,
  document.getElementById("page")!,
);
