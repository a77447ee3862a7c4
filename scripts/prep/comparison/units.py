"""Units of measurement: names in English and Chinese, dimension, factor."""

import re
from fractions import Fraction
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: its dimension, and what one of it is in the dimension's first unit."""

    dimension: str
    factor: Fraction


_TABLE: dict[str, dict[str, tuple[str | int, str]]] = {
    "length": {
        "m": (1, "m meter meters metre metres 米 公尺"),
        "km": (1000, "km kilometer kilometers kilometre kilometres 千米 公里"),
        "dm": ("1/10", "dm decimeter decimeters decimetre decimetres 分米"),
        "cm": ("1/100", "cm centimeter centimeters centimetre centimetres 厘米"),
        "mm": ("1/1000", "mm millimeter millimeters millimetre millimetres 毫米"),
        "um": ("1/1000000", "um μm micrometer micrometers 微米"),
        "nm": ("1/1000000000", "nm nanometer nanometers 纳米"),
        "in": ("254/10000", "inch inches 英寸"),
        "ft": ("3048/10000", "ft foot feet 英尺"),
        "yd": ("9144/10000", "yd yard yards 码"),
        "mi": ("1609344/1000", "mile miles 英里"),
    },
    "area": {
        "m2": (1, "m^2 平方米"),
        "km2": (10**6, "km^2 平方千米 平方公里"),
        "dm2": ("1/100", "dm^2 平方分米"),
        "cm2": ("1/10000", "cm^2 平方厘米"),
        "mm2": ("1/1000000", "mm^2 平方毫米"),
        "ha": (10**4, "ha hectare hectares 公顷"),
    },
    "volume": {
        "m3": (1, "m^3 立方米"),
        "dm3": ("1/1000", "dm^3 L l liter liters litre litres 升 立方分米"),
        "cm3": ("1/1000000", "cm^3 mL ml milliliter milliliters millilitre millilitres 毫升 立方厘米"),
    },
    "mass": {
        "kg": (1, "kg kilogram kilograms 千克 公斤"),
        "g": ("1/1000", "g gram grams 克"),
        "mg": ("1/1000000", "mg milligram milligrams 毫克"),
        "t": (1000, "tonne tonnes 吨"),
        "jin": ("1/2", "斤"),
        "lb": ("45359237/100000000", "lb lbs pound-mass"),
    },
    "time": {
        "s": (1, "s sec secs second seconds 秒 秒钟"),
        "ms": ("1/1000", "ms millisecond milliseconds 毫秒"),
        "min": (60, "min mins minute minutes 分钟"),
        "h": (3600, "h hr hrs hour hours 小时 个小时"),
        "day": (86400, "day days 天"),
        "week": (604800, "week weeks 周 星期 个星期"),
    },
    "months": {"month": (1, "month months 个月"), "year": (12, "year years 年 ")},
    "age": {"岁": (1, "岁 周岁 years-old")},
    "speed": {
        "m/s": (1, "m/s 米/秒 米每秒"),
        "km/s": (1000, "km/s 千米/秒 千米每秒"),
        "cm/s": ("1/100", "cm/s 厘米/秒"),
        "km/h": ("5/18", "km/h kph kmh 千米/时 千米/小时 公里/小时 千米每小时 公里每小时"),
        "mph": ("44704/100000", "mph"),
    },
    "angle": {"deg": (1, "° degree degrees deg 度")},
    "celsius": {"C": (1, "°C ℃ 摄氏度 degrees-celsius")},
    "fahrenheit": {"F": (1, "°F ℉ 华氏度 degrees-fahrenheit")},
    "kelvin": {"K": (1, "K kelvin kelvins")},
    "dollar": {"$": (1, "$ usd dollar dollars 美元"), "cent": ("1/100", "cent cents 美分")},
    "euro": {"€": (1, "€ eur euro euros 欧元")},
    "sterling": {"£": (1, "£ gbp 英镑")},
    "yuan": {"元": (1, "¥ ￥ 元 块 rmb cny yuan 人民币"), "角": ("1/10", "角 毛"), "分": ("1/100", "分钱")},
    "energy": {"J": (1, "J joule joules 焦 焦耳"), "kJ": (1000, "kJ 千焦")},
    "power": {"W": (1, "W watt watts 瓦 瓦特"), "kW": (1000, "kW 千瓦"), "MW": (10**6, "MW 兆瓦")},
    "force": {"N": (1, "N newton newtons 牛 牛顿"), "kN": (1000, "kN 千牛")},
    "pressure": {"Pa": (1, "Pa 帕 帕斯卡"), "kPa": (1000, "kPa 千帕"), "MPa": (10**6, "MPa 兆帕")},
    "voltage": {"V": (1, "V volt volts 伏 伏特"), "mV": ("1/1000", "mV 毫伏"), "kV": (1000, "kV 千伏")},
    "current": {"A": (1, "A ampere amperes amp amps 安 安培"), "mA": ("1/1000", "mA 毫安")},
    "resistance": {"Ω": (1, "Ω ohm ohms 欧 欧姆"), "kΩ": (1000, "kΩ 千欧")},
    "frequency": {"Hz": (1, "Hz hertz 赫兹"), "kHz": (1000, "kHz 千赫"), "MHz": (10**6, "MHz 兆赫")},
    "amount": {"mol": (1, "mol mole moles 摩尔")},
    "acceleration": {"m/s2": (1, "m/s^2")},
    "density": {"kg/m3": (1, "kg/m^3"), "g/cm3": (1000, "g/cm^3")},
    "percent": {"%": ("1/100", "% percent per-cent pct"), "‰": ("1/1000", "‰")},
    "times": {"倍": (1, "倍")},
}

UNITS = {
    name.replace("-", " "): Unit(dimension, Fraction(factor))
    for dimension, units in _TABLE.items()
    for factor, names in units.values()
    for name in names.split()
}
_FACTORS = {
    dimension: {Fraction(factor) for factor, _ in units.values()} for dimension, units in _TABLE.items()
}
_POWERS = {"square": "^2", "sq": "^2", "cubic": "^3", "cu": "^3"}
_SHORT = {"meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km", "centimeter": "cm"}
_SHORT |= {"centimetre": "cm", "millimeter": "mm", "millimetre": "mm", "decimeter": "dm", "decimetre": "dm"}


def find_unit(name: str) -> Unit | None:
    """The unit of a name such as `cm`, `square meters`, `m^{2}`, `平方米`."""
    name = re.sub(r"\^\s*[{(]?\s*(\d)\s*[})]?", r"^\1", name.strip().rstrip(".")).replace(" / ", "/")
    if found := UNITS.get(name):
        return found
    words = name.lower().split()
    if len(words) == 2 and words[0].rstrip(".") in _POWERS:
        short = _SHORT.get(words[1].rstrip("s"), words[1])
        return UNITS.get(short + _POWERS[words[0].rstrip(".")])
    # A symbol's case tells m from M; a word's does not.
    return UNITS.get(name.lower()) if len(name) > 2 else None


def is_ratio_of_units(dimension: str, ratio: Fraction) -> bool:
    """Whether two units of a dimension are in this ratio."""
    factors = _FACTORS[dimension]
    return any(one * ratio in factors for one in factors)
