// Package compute defines the words that every package of hostler uses: instances and their states,
// the small interfaces of a provider and of a connection, requests and leases, events, errors. It
// imports the standard library only and does nothing by itself.
//
// Three interfaces carry the product. Package computetest has a suite for each that its
// implementations pass:
//
//   - Provider makes computers and destroys them. It knows nothing of leases.
//   - Conn uses one computer: it runs commands and copies files.
//   - Leaser hands computers out and takes them back.
//
// Abilities of some providers or connections are separate interfaces of one or two methods (Fixed,
// Cleaner, Checker, Dialer, ...). Ask for them with As, which sees through wrappers.
package compute
