"""The vocabulary of the generated tasks: first names, things, common words, colours."""

from __future__ import annotations

_NAMES = """
    Adam Alan Alice Amir Anna Ben Bob Carl Carol Chen Clara Dan David Diana Ella Emma Eric Eva Felix Fiona Frank
    Grace Hana Hector Helen Henry Hugo Ida Igor Ivan Jack James Jane Joan Joel John Julia Karl Kate Kim Kurt Kyle
    Laura Leon Lily Linda Lisa Luis Lucy Marco Maria Mark Martin Mary Max Mila Nina Noah Nora Oliver Olga Omar Oscar
    Paul Peter Priya Rachel Ravi Robert Rosa Ruth Sam Sandra Sara Simon Sofia Steve Susan Tara Thomas Tim Tom Ursula
    Victor Vera Walter Wendy Will Yusuf Zara Zoe
"""
NAMES: tuple[str, ...] = tuple(_NAMES.split())

_THINGS = """
    apples marbles books pencils cards coins shells stamps cookies flowers stones tickets toys eggs balloons
    buttons beads plums nuts candles
"""
THINGS: tuple[str, ...] = tuple(_THINGS.split())

_WORDS = """
    apple arm bag ball bird boat book box bread cake car cat chair clock cloud corn cow cup desk dog door duck
    ear egg eye farm fish flag flower fork fox garden gate girl glass goat gold grass hand hat hill horse house ice
    ink iron island jar jacket juice key king kite knife lake lamp leaf lemon lion map milk moon mouse nail neck nest
    net night nose oil onion orange oven owl paper pear pen pig plate queen rain ring river road rock roof rose
    school sea shoe ship shop snow spoon star stone sun table tail tea train tree truck uncle valley van village wall
    watch water wheel wind window wolf wood yard year zebra zoo
"""
WORDS: tuple[str, ...] = tuple(_WORDS.split())

COLOURS: tuple[str, ...] = ("red", "blue", "green", "white", "black", "pink", "yellow", "brown", "orange", "purple")
