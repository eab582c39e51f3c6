// Package ironic knows bare-metal nodes under OpenStack's Ironic: what they are (Scout), how an
// image is put on one ahead of need and taken off again (Commander), and how one becomes an
// instance like any other (Provider, the provider of type ironic).
//
// A node is claimed by its instance_uuid, which Ironic itself gives to one asker only: before it is
// written, before it is handed out and before it is wiped. What a node is to us stands on the node,
// in extra.hostler (Mark), so that whoever comes later knows it without us.
package ironic
