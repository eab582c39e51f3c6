// Package access decides who may do what. It is the one place of the API's rules:
//
//   - Gate admits a request to its route. The caller must be known, within its limits, and have the
//     permission that the route declares in package route. A route that declares none is refused to
//     everybody.
//   - Rules and the functions beside it say what a known caller may see, and what it may do with
//     the thing that a request names.
//
// Audit writes down what was done, and what was refused.
package access
