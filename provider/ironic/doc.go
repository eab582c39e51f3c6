// Package ironic manages bare-metal nodes under OpenStack's Ironic. Scout lists the nodes.
// Commander writes images to them ahead of need and removes them. Provider makes instances of them,
// and is the provider of type ironic.
//
// A node is claimed by its instance_uuid, which Ironic gives to one client only. It is claimed
// before it is written, granted or wiped. The node itself has our data in extra.hostler (mark), so
// a later process needs nothing else.
package ironic
