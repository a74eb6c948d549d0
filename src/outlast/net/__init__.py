"""What can happen to packets between hosts: said as rules, made of kernel parts, measured by probes.

    Net (what faults call) ──▶ rules ──▶ ruleset, queues, classes ──▶ netlink ──▶ kernel
                                                    probe ◀── two hosts' namespaces

`base` holds the words. `ruleset` turns rules into nftables messages and is pure, as is `nft` below it. A lab keeps the
rules in its wires process (see hosts/netns/rule_table.py), so they outlive the tool, and a host that is switched off.
"""
