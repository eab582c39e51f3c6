// Package deploy makes nodes. A node is a computer of any source with a name, and with bundles on
// it. In the engine it is a lease with the label Label. So it is listed and released like other
// leases, and survives the process that made it.
//
// Decisions are pure functions: names, variables, exit statuses, which nodes may be destroyed, and
// reports of tests. Run does the work for many nodes at once. It takes leases, connects and has its
// caller's Apply put the bundles there. It names each node as soon as that exists.
//
// The rules are those of provision that its users rely on. Callers ask for what differs under the
// old names (deploy-node, list-nodes, destroy-node).
package deploy
