// Package program has what tells hostler's two programs apart, and leads from one to the other.
//
// hostler starts fast, as it links little. hostlerd is the whole: the clouds, the controller, the
// SlapOS master. hostler replaces itself by it (exec) where it needs more than it has.
package program
