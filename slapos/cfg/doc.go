// Package cfg reads the configuration files of SlapOS: slapos.cfg of nodes, slapos-client.cfg of
// people and programs, and the file of a micro-master, which are INI with %(key)s for another key's
// value and indented lines that go on with the value before them.
//
// What stands in a file and is not known is passed over, as files hold sections of other programs
// too; [File.Unknown] tells of it. What is wrong in it is an [*Error] that names file, line and
// key. In keys - and _ are one, and so are capital and small letters.
//
// Values are read when they are asked for, so that one that nobody asks for cannot be wrong. A File
// is not changed once it is read, and may be used concurrently.
package cfg
