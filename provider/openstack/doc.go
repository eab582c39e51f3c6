// Package openstack is the provider of type openstack: servers of an OpenStack, with the ports,
// volumes and floating IPs that they need. A Session speaks to one project of one cloud. Its
// credentials come from clouds.yaml, from OS_ variables that the caller passes, or from
// credentials.Credentials. There are no globals.
//
// A server has its instance's name. Everything that is made for it carries a Mark from its first
// request on: installation, source and instance. So what a dead process left is found again.
// Nothing without our mark is ever changed.
package openstack
