// Package deployment makes what the servers of an OpenStack project need beside themselves, under
// one name, and takes it down again: a key pair, a security group, a network with its subnets, a
// router with its interfaces, floating IPs.
//
// Deploy may be repeated: what is there is used, what is half-made is completed, and what was
// changed by hand is put right. Each step is recorded in the Store before it is asked for, and
// everything carries the installation's id and the deployment's name, as tags, metadata or a
// description. So whatever a process was doing when it died is found by the next Deploy or
// Teardown.
//
// Teardown deletes what carries both marks or was recorded as made, and nothing else: a thing of
// the deployment's name that somebody else made is used by Deploy, never changed and never deleted.
package deployment
