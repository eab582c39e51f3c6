// Package compute holds the words that every room of hostler speaks: instances and their states,
// the small interface of a provider and of a connection, requests and leases, events, errors. It
// imports the standard library only and does nothing by itself.
//
// Three interfaces carry the product; the first two have suites in computetest that all their
// implementations pass:
//
//   - Provider makes computers and unmakes them. It knows nothing of leases.
//   - Conn uses one computer: it runs commands and copies files.
//   - Leaser hands computers out and takes them back.
//
// What only some providers or connections can do stands in separate interfaces of one or two
// methods (Fixed, Cleaner, Checker, Dialer, ...), asked for with As, which sees through wrappers.
package compute
