// Package sshcmd has the commands by which programs of OpenSSH, and Ansible with them, reach
// instances: ssh, ssh-config, ssh-proxy, inventory.
package sshcmd
