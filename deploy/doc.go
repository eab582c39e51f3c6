// Package deploy makes nodes: a computer of any source under a name, with bundles put on it. A node
// is a lease with a name and the label Label in the engine that has all other leases, so it shows
// and ends where they do, survives the process that made it, and is given back by the same path.
//
// What here decides something is pure: names, variables, exit statuses, which node may be
// destroyed, what a test report says. Run does the work: it takes leases, opens ways in, and has
// its caller's Apply put the bundles there, for many nodes at once, and names each node the moment
// it exists.
//
// The rules are those of provision, where users rely on them; what differs under the old names
// (deploy-node, list-nodes, destroy-node) is the caller's to ask for.
package deploy
