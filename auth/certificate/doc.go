// Package certificate keeps the certificates of a controller: its own, and the authorities whose
// certificates identify clients.
//
// Load and Reload read the files; if one of them is wrong, nothing changes. A client's certificate
// counts while three conditions hold:
//
//   - its authority is trusted,
//   - it is within its time,
//   - it is not revoked.
//
// They are checked for each request and not once per connection. So an open connection gives no
// access longer than that, and a refused request is told why.
package certificate
