"""The soak: a writer, readers, one failover after another and a look at every row of every node, for as long as asked.

    plan ─▶ director (writer, failovers, validations, readers) ─▶ conclude ─▶ verdict
                     └─▶ diary: what a person reads while it runs and afterwards

``plan`` decides what happens when, ``rotation`` moves the primary, ``validation`` compares the nodes while they are
written to, ``diary`` writes the files, ``figures`` makes criteria and figures of what was recorded.
"""
