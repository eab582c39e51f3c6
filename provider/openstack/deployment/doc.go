// Package deployment makes, under one name, what the servers of an OpenStack project need: a key
// pair, a security group, a network with subnets, a router with interfaces, and floating IPs. It
// also removes them.
//
// Deploy may be repeated. It uses what exists, completes what is half made, and corrects what was
// changed by hand. Each step is in the Store before it is requested. Everything carries the
// installation's id and the deployment's name, as tags, metadata or a description. So the next
// Deploy or Teardown finds whatever a dead process left.
//
// Teardown deletes only what carries both marks or was recorded as made. A thing of the
// deployment's name that somebody else made is used by Deploy, but never changed or deleted.
package deployment
