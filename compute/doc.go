// Package compute defines the nouns that every package of hostler uses: instances and their states,
// the small interfaces of a provider and of a connection, requests and leases, events, errors. It
// does nothing by itself, and has no optional abilities.
//
// Three interfaces carry the product. Package computetest has a suite for each that its
// implementations pass:
//
//   - Provider makes computers and destroys them. It knows nothing of leases.
//   - Conn uses one computer: it runs commands and copies files.
//   - Leaser hands computers out and takes them back.
//
// Package provider has what only some providers and connections can do. Package inventory has what
// else a lease engine can be asked.
package compute
