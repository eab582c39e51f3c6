// Package egress has the key `egress` of sources, which says where instances may connect to. It
// means the same for all kinds that have it. The package only parses and decides; others enforce.
//
// The words are: internet (all but private networks), private (private networks), none, addresses,
// ranges, names, and all names below one (*.example.com). All but none may end in :PORT or
// :PORT-PORT.
//
// A cloud's metadata service, the link and the loopback are reached by no word, and by no range
// that is wider than their own. This machine and its other instances are never reached.
package egress
