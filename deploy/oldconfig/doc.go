// Package oldconfig reads provision's configuration directories without running their Python. It
// understands the literal forms of an init(config) function: assignments, append, extend, update,
// +=, items, add_bundle and new_bundle. It lists all other lines for the user to convert. Write
// makes a configuration directory of hostler from the result.
package oldconfig
