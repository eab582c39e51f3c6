// Package egress says where instances may go: the key `egress` of sources, the same for all types
// that have it. It is pure; what enforces it is elsewhere.
//
// The words are: internet (all but private networks), private (those), none, addresses and ranges,
// names and names below one (*.example.com). All but none may have :PORT or :PORT-PORT behind them.
// What a cloud's metadata service, the link or loopback has is reached by no word and no range that
// is wider than theirs. This machine and other instances on it are reached by none at all.
package egress
