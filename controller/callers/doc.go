// Package callers authenticates the callers of a controller: users of its machine, holders of
// tokens and certificates, browsers, and callers in the same process. It reads the section [auth]
// of hostler.conf, and the roles that the configuration gives to users.
package callers
