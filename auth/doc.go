// Package auth identifies callers of a controller and says what they may do.
//
// A caller is identified by the socket it came through, or by the token or certificate that it
// presents. The result is a Principal. Roles and permissions are one table, in permission.go.
package auth
