// Package missingpaths finds out which paths of this machine a command in a sandbox looked for
// in vain, why the sandbox hides them, and which line of its source would show them.
package missingpaths
