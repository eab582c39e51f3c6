// Package openstack is the provider of type openstack: servers of an OpenStack, with the ports,
// volumes and floating IPs that they need. A Session speaks to one project of one cloud; what is
// told it comes from clouds.yaml, from OS_ variables that the caller hands over, or from
// Credentials. Nothing is global to the process.
//
// A server's name is the instance's, and all that is made for one carries a Mark, from the request
// that makes it on: installation, source and instance. So whatever a process that died left behind
// is found again, and nothing that carries no mark of ours is ever changed.
package openstack
