// Package oldconfig reads the configuration directories of provision without running the Python in
// them: the literal forms of an init(config) function, that is assignments of literals, append,
// extend, update and +=, single items, add_bundle and new_bundle. What else stands there is not
// guessed at: it is listed, with its line, for a person to see to. Write makes a configuration
// directory of hostler's of what was read.
package oldconfig
