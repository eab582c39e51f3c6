// Package cloudcmd has the commands about clouds: deploy, servers, tear down.
package cloudcmd
