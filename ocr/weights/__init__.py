"""The checkpoints: what each is made of, how one is fetched whole or not at all, and how to tell that it is whole.

A download goes to `.NAME.partial` beside its target, is checked there, and becomes NAME by one rename: a start that is
killed, or runs out of disk, leaves nothing that a later one could take for weights. `weights.lock` in the folder pins
what arrived. A folder without it is the user's own checkpoint, welcome as soon as it is structurally whole. One that is
not whole and in the way is moved aside to NAME.broken-1, never deleted.

Only files of a row of the table are ever written, whatever a source offers: no code, no pickle.

Knows nothing of models. Needs the standard library alone, huggingface_hub only to download where pget does not, and pip
for what comes in wheels.
"""
